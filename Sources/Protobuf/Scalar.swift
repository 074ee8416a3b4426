/// A type of field that is no message: how it is laid out and what is not sent of it.
public protocol Scalar: Sendable {
    static var wire: WireType { get }
    /// proto3's default.
    init()
    /// Whether this is the default, which is not sent.
    var isDefault: Bool { get }
    /// Writes it without its tag.
    func encode(into encoder: inout Encoder)
    init(from decoder: inout Decoder) throws(DecodingError)
}

extension UInt64: Scalar {
    public static var wire: WireType { .varint }
    public var isDefault: Bool { self == 0 }
    public func encode(into encoder: inout Encoder) { encoder.varint(self) }
    public init(from decoder: inout Decoder) throws(DecodingError) { self = try decoder.varint() }
}

extension UInt32: Scalar {
    public static var wire: WireType { .varint }
    public var isDefault: Bool { self == 0 }
    public func encode(into encoder: inout Encoder) { encoder.varint(UInt64(self)) }
    public init(from decoder: inout Decoder) throws(DecodingError) {
        self.init(truncatingIfNeeded: try decoder.varint())
    }
}

extension Int64: Scalar {
    public static var wire: WireType { .varint }
    public var isDefault: Bool { self == 0 }
    public func encode(into encoder: inout Encoder) { encoder.varint(UInt64(bitPattern: self)) }
    public init(from decoder: inout Decoder) throws(DecodingError) { self.init(bitPattern: try decoder.varint()) }
}

/// Also every enumeration. Negative numbers take ten bytes, as the encoding guide has it.
extension Int32: Scalar {
    public static var wire: WireType { .varint }
    public var isDefault: Bool { self == 0 }
    public func encode(into encoder: inout Encoder) { encoder.varint(UInt64(bitPattern: Int64(self))) }
    public init(from decoder: inout Decoder) throws(DecodingError) {
        self.init(truncatingIfNeeded: try decoder.varint())
    }
}

extension Bool: Scalar {
    public static var wire: WireType { .varint }
    public var isDefault: Bool { !self }
    public func encode(into encoder: inout Encoder) { encoder.varint(self ? 1 : 0) }
    public init(from decoder: inout Decoder) throws(DecodingError) { self = try decoder.varint() != 0 }
}

/// Compared by bits: -0.0 is not the default.
extension Double: Scalar {
    public static var wire: WireType { .fixed64 }
    public var isDefault: Bool { bitPattern == 0 }
    public func encode(into encoder: inout Encoder) { encoder.fixed(bitPattern) }
    public init(from decoder: inout Decoder) throws(DecodingError) {
        self.init(bitPattern: try decoder.fixed(UInt64.self))
    }
}

extension String: Scalar {
    public static var wire: WireType { .lengthDelimited }
    public var isDefault: Bool { isEmpty }
    public func encode(into encoder: inout Encoder) { encoder.lengthDelimited(utf8) }
    public init(from decoder: inout Decoder) throws(DecodingError) {
        guard let text = String(validating: try decoder.lengthDelimited(), as: UTF8.self) else { throw .badUTF8 }
        self = text
    }
}

/// How one kind of value is written and read, without its tag.
///
/// A class: as a structure its four closures were copied for each field of each message's table, which was half of the code
/// that a guest ran, and under emulation had translated, to make the tables.
public final class Codec<Value: Sendable>: Sendable {
    let wire: WireType
    /// proto3's default, which is not sent.
    let initial: @Sendable () -> Value
    let isDefault: @Sendable (Value) -> Bool
    let encode: @Sendable (Value, inout Encoder) -> Void
    /// Reads into a value, which a message merges with and a scalar replaces.
    let decode: @Sendable (inout Value, inout Decoder) throws(DecodingError) -> Void

    fileprivate init(
        wire: WireType, initial: @escaping @Sendable () -> Value, isDefault: @escaping @Sendable (Value) -> Bool,
        encode: @escaping @Sendable (Value, inout Encoder) -> Void,
        decode: @escaping @Sendable (inout Value, inout Decoder) throws(DecodingError) -> Void
    ) {
        self.wire = wire
        self.initial = initial
        self.isDefault = isDefault
        self.encode = encode
        self.decode = decode
    }

    fileprivate static func scalar(
        _ wire: WireType, _ initial: Value, _ encode: @escaping @Sendable (Value, inout Encoder) -> Void,
        _ decode: @escaping @Sendable (inout Decoder) throws(DecodingError) -> Value
    ) -> Codec where Value: Equatable {
        Codec(
            wire: wire, initial: { initial }, isDefault: { $0 == initial }, encode: encode,
            decode: { value, decoder throws(DecodingError) in value = try decode(&decoder) })
    }
}

extension Codec where Value == UInt64 {
    public static let uint64 = scalar(.varint, 0, { $1.varint($0) }, { d throws(DecodingError) in try d.varint() })
    public static let fixed64 = scalar(
        .fixed64, 0, { $1.fixed($0) }, { d throws(DecodingError) in try d.fixed(UInt64.self) })
}

extension Codec where Value == UInt32 {
    public static let uint32 = scalar(
        .varint, 0, { $1.varint(UInt64($0)) },
        { d throws(DecodingError) in UInt32(truncatingIfNeeded: try d.varint()) })
}

extension Codec where Value == Int64 {
    public static let int64 = scalar(
        .varint, 0, { $1.varint(UInt64(bitPattern: $0)) },
        { d throws(DecodingError) in Int64(bitPattern: try d.varint()) })
}

extension Codec where Value == Int32 {
    /// Also every enumeration. Negative numbers take ten bytes, as the encoding guide has it.
    public static let int32 = scalar(
        .varint, 0, { $1.varint(UInt64(bitPattern: Int64($0))) },
        { d throws(DecodingError) in Int32(truncatingIfNeeded: try d.varint()) })
}

extension Codec where Value == Bool {
    public static let bool = scalar(
        .varint, false, { $1.varint($0 ? 1 : 0) }, { d throws(DecodingError) in try d.varint() != 0 })
}

extension Codec where Value == Double {
    /// Compared by bits: -0.0 is not the default.
    public static let double = Codec(
        wire: .fixed64, initial: { 0 }, isDefault: { $0.bitPattern == 0 }, encode: { $1.fixed($0.bitPattern) },
        decode: { value, decoder throws(DecodingError) in
            value = Double(bitPattern: try decoder.fixed(UInt64.self))
        })
}

extension Codec where Value == String {
    public static let string = scalar(
        .lengthDelimited, "", { $1.lengthDelimited($0.utf8) },
        { decoder throws(DecodingError) in
            guard let text = String(validating: try decoder.lengthDelimited(), as: UTF8.self) else { throw .badUTF8 }
            return text
        })
}

extension Codec where Value == [UInt8] {
    public static let bytes = scalar(
        .lengthDelimited, [], { $1.lengthDelimited($0) },
        { d throws(DecodingError) in Array(try d.lengthDelimited()) })
}

extension Codec where Value: Message {
    public static var message: Codec {
        Codec(
            wire: .lengthDelimited, initial: { Value() }, isDefault: { _ in false },
            encode: { value, encoder in encoder.lengthDelimited(value.encoded()) },
            decode: { value, decoder throws(DecodingError) in
                var nested = try decoder.nested()
                try value.merge(from: &nested)
            })
    }
}

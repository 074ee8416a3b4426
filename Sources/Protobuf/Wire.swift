/// How a field's value is laid out.
public enum WireType: UInt8, Sendable {
    case varint = 0
    case fixed64 = 1
    case lengthDelimited = 2
    case startGroup = 3
    case endGroup = 4
    case fixed32 = 5
}

public enum DecodingError: Error, Equatable, CustomStringConvertible {
    case truncated
    case malformedVarint
    case badTag(UInt64)
    case badUTF8
    case tooDeep

    public var description: String {
        switch self {
        case .truncated: "protobuf message ends in the middle of a field"
        case .malformedVarint: "protobuf varint longer than ten bytes"
        case .badTag(let tag): "protobuf tag \(tag) has no valid field number or wire type"
        case .badUTF8: "protobuf string is not UTF-8"
        case .tooDeep: "protobuf messages nested more than \(Decoder.deepest) deep"
        }
    }
}

public struct Encoder {
    public internal(set) var bytes: [UInt8] = []

    mutating func tag(_ number: Int, _ wire: WireType) { varint(UInt64(number) << 3 | UInt64(wire.rawValue)) }

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func fixed<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func lengthDelimited(_ content: some Collection<UInt8>) {
        varint(UInt64(content.count))
        bytes.append(contentsOf: content)
    }
}

/// Reads one message's bytes. Every length is checked against what is left before it is used.
public struct Decoder {
    /// The reference implementation's limit on nesting.
    static let deepest = 100

    private let bytes: [UInt8]
    private var position: Int
    private let end: Int
    private let depth: Int

    init(_ bytes: [UInt8]) {
        self.init(bytes, 0, bytes.count, depth: 0)
    }

    private init(_ bytes: [UInt8], _ position: Int, _ end: Int, depth: Int) {
        self.bytes = bytes
        self.position = position
        self.end = end
        self.depth = depth
    }

    var isAtEnd: Bool { position == end }

    mutating func nextTag() throws(DecodingError) -> (number: Int, wire: WireType)? {
        if isAtEnd { return nil }
        let tag = try varint()
        guard tag >> 3 >= 1, tag >> 3 < 1 << 29, let wire = WireType(rawValue: UInt8(tag & 7)) else {
            throw .badTag(tag)
        }
        return (Int(tag >> 3), wire)
    }

    mutating func varint() throws(DecodingError) -> UInt64 {
        var result: UInt64 = 0
        for index in 0..<10 {
            guard position < end else { throw .truncated }
            let byte = bytes[position]
            position += 1
            result |= UInt64(byte & 0x7f) << UInt64(7 * index)
            if byte < 0x80 { return result }
        }
        throw .malformedVarint
    }

    mutating func fixed<T: FixedWidthInteger>(_: T.Type) throws(DecodingError) -> T {
        let size = MemoryLayout<T>.size
        guard end - position >= size else { throw .truncated }
        var value: T = 0
        for index in (0..<size).reversed() { value = value << 8 | T(truncatingIfNeeded: bytes[position + index]) }
        position += size
        return value
    }

    private mutating func length() throws(DecodingError) -> Int {
        let length = try varint()
        guard length <= UInt64(end - position) else { throw .truncated }
        return Int(length)
    }

    mutating func lengthDelimited() throws(DecodingError) -> ArraySlice<UInt8> {
        let length = try length()
        defer { position += length }
        return bytes[position..<position + length]
    }

    /// A decoder for the message that starts here; this one goes on after it.
    mutating func nested() throws(DecodingError) -> Decoder {
        guard depth < Self.deepest else { throw .tooDeep }
        let length = try length()
        defer { position += length }
        return Decoder(bytes, position, position + length, depth: depth + 1)
    }

    mutating func skip(_ wire: WireType, number: Int) throws(DecodingError) {
        switch wire {
        case .varint: _ = try varint()
        case .fixed64: _ = try fixed(UInt64.self)
        case .fixed32: _ = try fixed(UInt32.self)
        case .lengthDelimited: _ = try lengthDelimited()
        case .startGroup: try skipGroup(number)
        case .endGroup: throw .badTag(UInt64(number) << 3 | 4)
        }
    }

    /// proto2's groups: read past, however they nest, without recursion.
    private mutating func skipGroup(_ number: Int) throws(DecodingError) {
        var open = [number]
        while let innermost = open.last {
            guard let (number, wire) = try nextTag() else { throw .truncated }
            switch wire {
            case .startGroup:
                guard open.count + depth < Self.deepest else { throw .tooDeep }
                open.append(number)
            case .endGroup:
                guard number == innermost else { throw .badTag(UInt64(number) << 3 | 4) }
                open.removeLast()
            default: try skip(wire, number: number)
            }
        }
    }
}

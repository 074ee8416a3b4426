/// A protobuf message declared as a Swift structure and one table of its fields
/// (<https://protobuf.dev/programming-guides/encoding/>, proto3).
///
///     struct Mount: Message {
///         var type = ""
///         var options: [String] = []
///         static let fields: [Field<Mount>] = [.singular(1, \.type, .string), .repeated(4, \.options, .string)]
///     }
///
/// Fields are encoded in the table's order, which is ascending by number, so that equal messages have equal bytes.
/// Unknown fields are skipped.
public protocol Message: Sendable {
    init()
    static var fields: [Field<Self>] { get }
}

extension Message {
    public func encoded() -> [UInt8] {
        var encoder = Encoder()
        encode(into: &encoder)
        return encoder.bytes
    }

    /// - Throws: `DecodingError` for bytes that are not a message of this shape.
    public init(decoding bytes: [UInt8]) throws(DecodingError) {
        var decoder = Decoder(bytes)
        self.init()
        try merge(from: &decoder)
    }

    func encode(into encoder: inout Encoder) {
        for field in Self.fields { field.encode(self, &encoder) }
    }

    /// What the encoding guide calls merging: later scalars win, messages merge, lists grow.
    mutating func merge(from decoder: inout Decoder) throws(DecodingError) {
        while let (number, wire) = try decoder.nextTag() {
            if let field = Self.fields.first(where: { $0.number == number }), try field.decode(&self, wire, &decoder) {
                continue
            }
            try decoder.skip(wire, number: number)
        }
    }
}

/// `google.protobuf.Empty`.
public struct Empty: Message, Equatable {
    public init() {}
    public static let fields: [Field<Empty>] = []
}

/// A protobuf message declared as a Swift structure that names its fields
/// (<https://protobuf.dev/programming-guides/encoding/>, proto3).
///
///     struct Mount: Message {
///         var type = ""
///         var options: [String] = []
///         mutating func fields(_ field: inout Fields) {
///             field(1, &type)
///             field(4, &options)
///         }
///     }
///
/// What a field is, its type tells: a scalar, a message, a list or a map of these; an optional one has presence. Fields are
/// encoded in this order, which is ascending by number, so that equal messages have equal bytes. Unknown fields are skipped.
public protocol Message: Sendable {
    init()
    /// Calls `field` with the number and the address of each field. Called to write all of them, and for each that is read.
    mutating func fields(_ field: inout Fields)
}

extension Message {
    public func encoded() -> [UInt8] {
        var copy = self
        var fields = Fields()
        copy.fields(&fields)
        return fields.encoder.bytes
    }

    /// - Throws: `DecodingError` for bytes that are not a message of this shape.
    public init(decoding bytes: [UInt8]) throws(DecodingError) {
        var decoder = Decoder(bytes)
        self.init()
        try merge(from: &decoder)
    }

    /// What the encoding guide calls merging: later scalars win, messages merge, lists grow.
    mutating func merge(from decoder: inout Decoder) throws(DecodingError) {
        try Fields.read(from: &decoder) { self.fields(&$0) }
    }

    /// Merges with the message of a field.
    mutating func read(from decoder: inout Decoder) throws(DecodingError) {
        var nested = try decoder.nested()
        try merge(from: &nested)
    }
}

extension Encoder {
    mutating func scalar<Value: Scalar>(_ number: Int, _ value: Value) {
        tag(number, Value.wire)
        value.encode(into: &self)
    }

    mutating func message(_ number: Int, _ value: inout some Message) {
        var fields = Fields()
        value.fields(&fields)
        tag(number, .lengthDelimited)
        lengthDelimited(fields.encoder.bytes)
    }
}

/// `google.protobuf.Empty`.
public struct Empty: Message, Equatable {
    public init() {}
    public func fields(_ field: inout Fields) {}
}

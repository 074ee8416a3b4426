/// What a message shows its fields to, one after the other: writes those that are set, or reads one.
///
/// It is one type for all messages and takes a field by its address, so that nothing has to be made at run time before a message
/// can be read (docs/decisions/019-messages-show-their-fields.md).
public struct Fields {
    private(set) var encoder = Encoder()
    private var decoder: Decoder
    private let isReading: Bool
    /// The field to read.
    private var number = 0
    private var wire = WireType.varint
    /// Whether that was one of the message's, with the wire type it has there.
    private var isTaken = false
    private var failure: DecodingError?

    /// To write.
    init() {
        decoder = Decoder([])
        isReading = false
    }

    /// To read what `message` calls its fields until there are no more.
    static func read(
        from decoder: inout Decoder, _ message: (inout Fields) -> Void
    ) throws(DecodingError) {
        var fields = Fields(decoder)
        while let (number, wire) = try fields.decoder.nextTag() {
            (fields.number, fields.wire, fields.isTaken) = (number, wire, false)
            message(&fields)
            if let failure = fields.failure { throw failure }
            // One that the message does not know, or knows as something else.
            if !fields.isTaken { try fields.decoder.skip(wire, number: number) }
        }
        decoder = fields.decoder
    }

    private init(_ decoder: Decoder) {
        self.decoder = decoder
        isReading = true
    }

    private mutating func takes(_ number: Int, _ wire: WireType) -> Bool {
        guard number == self.number, wire == self.wire else { return false }
        isTaken = true
        return true
    }

    private mutating func attempt(_ read: (inout Decoder) throws(DecodingError) -> Void) {
        do { try read(&decoder) } catch { failure = error }
    }

    // MARK: Scalars

    /// Without presence: absent and default are the same.
    public mutating func callAsFunction<Value: Scalar>(_ number: Int, _ value: inout Value) {
        if isReading {
            guard takes(number, Value.wire) else { return }
            attempt { decoder throws(DecodingError) in value = try Value(from: &decoder) }
        } else if !value.isDefault {
            encoder.scalar(number, value)
        }
    }

    /// With presence: proto3's `optional`.
    public mutating func callAsFunction<Value: Scalar>(_ number: Int, _ value: inout Value?) {
        if isReading {
            guard takes(number, Value.wire) else { return }
            attempt { decoder throws(DecodingError) in value = try Value(from: &decoder) }
        } else if let value {
            encoder.scalar(number, value)
        }
    }

    /// A list. Numbers are packed when written and taken either way when read.
    public mutating func callAsFunction<Value: Scalar>(_ number: Int, _ values: inout [Value]) {
        let isPacked = Value.wire != .lengthDelimited
        if isReading {
            if takes(number, Value.wire) {
                attempt { decoder throws(DecodingError) in values.append(try Value(from: &decoder)) }
            } else if isPacked, takes(number, .lengthDelimited) {
                attempt { decoder throws(DecodingError) in
                    var content = try decoder.nested()
                    while !content.isAtEnd { values.append(try Value(from: &content)) }
                }
            }
        } else if isPacked, !values.isEmpty {
            var content = Encoder()
            for value in values { value.encode(into: &content) }
            encoder.tag(number, .lengthDelimited)
            encoder.lengthDelimited(content.bytes)
        } else {
            for value in values { encoder.scalar(number, value) }
        }
    }

    public mutating func callAsFunction<Value: Scalar>(_ number: Int, _ values: inout [String: Value]) {
        map(number, &values, of: ScalarEntry.self)
    }

    /// Bytes.
    public mutating func callAsFunction(_ number: Int, _ value: inout [UInt8]) {
        if isReading {
            guard takes(number, .lengthDelimited) else { return }
            attempt { decoder throws(DecodingError) in value = Array(try decoder.lengthDelimited()) }
        } else if !value.isEmpty {
            encoder.tag(number, .lengthDelimited)
            encoder.lengthDelimited(value)
        }
    }

    // MARK: Messages

    /// A message that is always sent.
    public mutating func callAsFunction<Value: Message>(_ number: Int, _ value: inout Value) {
        if isReading {
            guard takes(number, .lengthDelimited) else { return }
            attempt { decoder throws(DecodingError) in try value.read(from: &decoder) }
        } else {
            encoder.message(number, &value)
        }
    }

    public mutating func callAsFunction<Value: Message>(_ number: Int, _ value: inout Value?) {
        if isReading {
            guard takes(number, .lengthDelimited) else { return }
            attempt { decoder throws(DecodingError) in
                var merged = value ?? Value()
                try merged.read(from: &decoder)
                value = merged
            }
        } else if var value {
            encoder.message(number, &value)
        }
    }

    public mutating func callAsFunction<Value: Message>(_ number: Int, _ values: inout [Value]) {
        if isReading {
            guard takes(number, .lengthDelimited) else { return }
            attempt { decoder throws(DecodingError) in
                var value = Value()
                try value.read(from: &decoder)
                values.append(value)
            }
        } else {
            for var value in values { encoder.message(number, &value) }
        }
    }

    public mutating func callAsFunction<Value: Message>(_ number: Int, _ values: inout [String: Value]) {
        map(number, &values, of: MessageEntry.self)
    }

    // MARK: Maps

    /// Written in the order of its keys' bytes.
    private mutating func map<Entry: MapEntry>(
        _ number: Int, _ values: inout [String: Entry.Value], of _: Entry.Type
    ) {
        if isReading {
            guard takes(number, .lengthDelimited) else { return }
            attempt { decoder throws(DecodingError) in
                var entry = Entry()
                try entry.read(from: &decoder)
                if let key = entry.key { values[key] = entry.value }
            }
        } else {
            for (key, value) in values.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
                var entry = Entry()
                (entry.key, entry.value) = (key, value)
                encoder.message(number, &entry)
            }
        }
    }
}

/// Of a map. Both are optional because both are always written, and neither is nil because what was not sent is the default.
private protocol MapEntry: Message {
    associatedtype Value
    var key: String? { get set }
    var value: Value? { get set }
}

private struct ScalarEntry<Value: Scalar>: MapEntry {
    var key: String? = ""
    var value: Value? = Value()
    mutating func fields(_ field: inout Fields) {
        field(1, &key)
        field(2, &value)
    }
}

private struct MessageEntry<Value: Message>: MapEntry {
    var key: String? = ""
    var value: Value? = Value()
    mutating func fields(_ field: inout Fields) {
        field(1, &key)
        field(2, &value)
    }
}

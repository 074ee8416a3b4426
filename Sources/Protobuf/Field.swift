/// One row of a message's table: a number, where the value lives, and how it is coded.
public struct Field<M: Message>: Sendable {
    public let number: Int
    let encode: @Sendable (M, inout Encoder) -> Void
    /// Returns false when the wire type is not the field's; the value is then skipped like an unknown field.
    let decode: @Sendable (inout M, WireType, inout Decoder) throws(DecodingError) -> Bool

    public typealias Path<Value> = WritableKeyPath<M, Value> & Sendable

    /// A field without presence: absent and default are the same.
    public static func singular<Value>(_ number: Int, _ path: Path<Value>, _ codec: Codec<Value>) -> Field {
        Field(
            number: number,
            encode: { message, encoder in
                let value = message[keyPath: path]
                if codec.isDefault(value) { return }
                encoder.tag(number, codec.wire)
                codec.encode(value, &encoder)
            },
            decode: { message, wire, decoder throws(DecodingError) in
                guard wire == codec.wire else { return false }
                try codec.decode(&message[keyPath: path], &decoder)
                return true
            })
    }

    /// A field with presence: a message, or proto3's `optional`.
    public static func optional<Value>(_ number: Int, _ path: Path<Value?>, _ codec: Codec<Value>) -> Field {
        Field(
            number: number,
            encode: { message, encoder in
                guard let value = message[keyPath: path] else { return }
                encoder.tag(number, codec.wire)
                codec.encode(value, &encoder)
            },
            decode: { message, wire, decoder throws(DecodingError) in
                guard wire == codec.wire else { return false }
                var value = message[keyPath: path] ?? codec.initial()
                try codec.decode(&value, &decoder)
                message[keyPath: path] = value
                return true
            })
    }

    /// A list. Numbers are packed when written and taken either way when read.
    public static func repeated<Value>(_ number: Int, _ path: Path<[Value]>, _ codec: Codec<Value>) -> Field {
        let packed = codec.wire != .lengthDelimited
        return Field(
            number: number,
            encode: { message, encoder in
                let values = message[keyPath: path]
                if values.isEmpty { return }
                if packed {
                    var content = Encoder()
                    for value in values { codec.encode(value, &content) }
                    encoder.tag(number, .lengthDelimited)
                    encoder.lengthDelimited(content.bytes)
                } else {
                    for value in values {
                        encoder.tag(number, codec.wire)
                        codec.encode(value, &encoder)
                    }
                }
            },
            decode: { message, wire, decoder throws(DecodingError) in
                if wire == codec.wire {
                    var value = codec.initial()
                    try codec.decode(&value, &decoder)
                    message[keyPath: path].append(value)
                } else if packed, wire == .lengthDelimited {
                    var content = try decoder.nested()
                    while !content.isAtEnd {
                        var value = codec.initial()
                        try codec.decode(&value, &content)
                        message[keyPath: path].append(value)
                    }
                } else {
                    return false
                }
                return true
            })
    }

    /// A map with string keys, written in the order of its keys' bytes.
    public static func map<Value>(_ number: Int, _ path: Path<[String: Value]>, _ codec: Codec<Value>) -> Field {
        let key = Codec<String>.string
        return Field(
            number: number,
            encode: { message, encoder in
                for (name, value) in message[keyPath: path].sorted(by: {
                    $0.key.utf8.lexicographicallyPrecedes($1.key.utf8)
                }) {
                    var entry = Encoder()
                    entry.tag(1, key.wire)
                    key.encode(name, &entry)
                    entry.tag(2, codec.wire)
                    codec.encode(value, &entry)
                    encoder.tag(number, .lengthDelimited)
                    encoder.lengthDelimited(entry.bytes)
                }
            },
            decode: { message, wire, decoder throws(DecodingError) in
                guard wire == .lengthDelimited else { return false }
                var entry = try decoder.nested()
                var name = ""
                var value = codec.initial()
                while let (number, wire) = try entry.nextTag() {
                    if number == 1, wire == key.wire {
                        try key.decode(&name, &entry)
                    } else if number == 2, wire == codec.wire {
                        try codec.decode(&value, &entry)
                    } else {
                        try entry.skip(wire, number: number)
                    }
                }
                message[keyPath: path][name] = value
                return true
            })
    }
}

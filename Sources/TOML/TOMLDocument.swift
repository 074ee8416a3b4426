import CToml

/// A TOML document as a flat list of values, in no order; keys within tables are joined by dots.
public struct TOMLDocument: Sendable {
    public enum Value: Equatable, Sendable {
        case string(String)
        case integer(Int64)
        case float(Double)
        case boolean(Bool)
        case strings([String])
        case emptyTable
        /// Another array, a date or a time.
        case other
    }

    public struct Entry: Equatable, Sendable {
        public var key: String
        /// From 1.
        public var line: UInt32
        public var value: Value
    }

    public struct ParseError: Error {
        /// From 1.
        public var line: UInt32
        public var reason: String
    }

    public private(set) var entries: [Entry] = []

    /// - Throws: `ParseError` where the bytes are not TOML.
    public init(_ bytes: [UInt8]) throws(ParseError) {
        let parsed = bytes.withUnsafeBytes { ctoml_parse($0.bindMemory(to: CChar.self).baseAddress, $0.count) }
        guard let document = parsed else { throw ParseError(line: 1, reason: "there is not enough memory to read it") }
        defer { ctoml_free(document) }
        if let reason = ctoml_error(document) {
            throw ParseError(line: ctoml_error_line(document), reason: String(cString: reason))
        }
        for index in 0..<ctoml_count(document) {
            let entry = ctoml_entry_at(document, index)
            let value: Value
            switch entry.kind {
            case CTOML_STRING:
                let bytes = UnsafeRawBufferPointer(start: entry.string, count: entry.string_length)
                value = .string(String(decoding: bytes, as: UTF8.self))
            case CTOML_STRINGS:
                let bytes = UnsafeRawBufferPointer(start: entry.string, count: entry.string_length)
                let strings = bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast()
                value = .strings(strings.map { String(decoding: $0, as: UTF8.self) })
            case CTOML_INTEGER: value = .integer(entry.integer)
            case CTOML_FLOAT: value = .float(entry.number)
            case CTOML_EMPTY_TABLE: value = .emptyTable
            case CTOML_BOOLEAN: value = .boolean(entry.boolean)
            default: value = .other
            }
            entries.append(Entry(key: String(cString: entry.key), line: entry.line, value: value))
        }
    }
}

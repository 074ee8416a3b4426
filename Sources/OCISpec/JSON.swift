import FoundationEssentials

/// The JSON of the OCI specifications.
public enum OCIJSON {
    /// - Throws: `OCIJSONError`, which names the field.
    public static func decode<T: Decodable>(_ type: T.Type, from bytes: [UInt8]) throws(OCIJSONError) -> T {
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch let error as DecodingError {
            throw OCIJSONError(error)
        } catch { throw OCIJSONError(message: "\(error)") }
    }

    /// Keys sorted, so that equal values give equal bytes and so equal digests.
    /// - Throws: `OCIJSONError`.
    public static func encode<T: Encodable>(_ value: T, pretty: Bool = false) throws(OCIJSONError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
        do { return Array(try encoder.encode(value)) } catch { throw OCIJSONError(message: "\(error)") }
    }
}

/// Why a document could not be read, in one flat sentence that names the field.
public struct OCIJSONError: Error, CustomStringConvertible, Sendable {
    public let message: String
    public var description: String { message }

    init(message: String) { self.message = message }

    init(_ error: DecodingError) {
        func field(_ context: DecodingError.Context) -> String {
            var path = ""
            for key in context.codingPath {
                if let index = key.intValue {
                    path += "[\(index)]"
                } else {
                    path += path.isEmpty ? key.stringValue : ".\(key.stringValue)"
                }
            }
            return path
        }
        switch error {
        case .keyNotFound(let key, let context):
            let parent = field(context)
            message = "field \"\(parent.isEmpty ? "" : parent + ".")\(key.stringValue)\" is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            let name = field(context)
            message = name.isEmpty ? "is not a JSON object" : "field \"\(name)\" is not of the right type"
        case .dataCorrupted(let context):
            let name = field(context)
            message = name.isEmpty ? "is not valid JSON" : "field \"\(name)\" is not valid"
        @unknown default:
            message = "cannot be decoded"
        }
    }
}

// Go writes an empty list as null or leaves it out. These are preferred by overload resolution, in this module, over the
// standard library's throwing versions, so that the compiler's own Codable conformances use them.
extension KeyedDecodingContainer {
    func decode<T: Decodable>(_ type: [T].Type, forKey key: Key) throws -> [T] {
        try decodeIfPresent(type, forKey: key) ?? []
    }

    func decode<T: Decodable>(_ type: [String: T].Type, forKey key: Key) throws -> [String: T] {
        try decodeIfPresent(type, forKey: key) ?? [:]
    }
}

extension KeyedEncodingContainer {
    mutating func encode<T: Encodable>(_ value: [T], forKey key: Key) throws {
        if !value.isEmpty { try encodeIfPresent(value, forKey: key) }
    }

    mutating func encode<T: Encodable>(_ value: [String: T], forKey key: Key) throws {
        if !value.isEmpty { try encodeIfPresent(value, forKey: key) }
    }
}

/// What a server asks for with 401 (RFC 9110, 11.6.1): a scheme and its parameters.
struct Challenge: Equatable {
    /// In lower case.
    var scheme: String
    /// By names in lower case.
    var parameters: [String: String] = [:]

    /// All challenges of the `WWW-Authenticate` fields. What cannot be understood is left out.
    static func parse(_ fields: [String]) -> [Challenge] {
        var result: [Challenge] = []
        for field in fields {
            var rest = Substring(field)
            while true {
                rest = rest.drop { $0 == " " || $0 == "," || $0 == "\t" }
                let word = rest.prefix { isToken($0) }
                guard !word.isEmpty else { break }
                rest = rest.dropFirst(word.count)
                let after = rest.drop { $0 == " " }
                // `name = value` goes on with the challenge before; a lone word begins the next.
                guard after.first == "=", !result.isEmpty else {
                    result.append(Challenge(scheme: word.lowercased()))
                    continue
                }
                rest = after.dropFirst().drop { $0 == " " }
                result[result.count - 1].parameters[word.lowercased()] = value(&rest)
            }
        }
        return result
    }

    private static func value(_ rest: inout Substring) -> String {
        guard rest.first == "\"" else {
            let word = rest.prefix { $0 != "," && $0 != " " }
            rest = rest.dropFirst(word.count)
            return String(word)
        }
        rest = rest.dropFirst()
        var text = ""
        while let character = rest.popFirst(), character != "\"" {
            if character == "\\", let escaped = rest.popFirst() { text.append(escaped) } else { text.append(character) }
        }
        return text
    }

    private static func isToken(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || "!#$%&'*+-.^_`|~".contains(character))
    }
}

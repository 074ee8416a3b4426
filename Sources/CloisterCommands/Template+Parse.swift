extension Template {
    /// - Throws: `InvalidValue` for what Go would not take either, and for what is not known here.
    init(_ text: String) throws(InvalidValue) {
        var parts: [Part] = []
        var rest = text[...]
        /// After `-}}`.
        var trims = false
        while !rest.isEmpty {
            let action = rest.firstRange(of: "{{")
            var literal = rest[..<(action?.lowerBound ?? rest.endIndex)]
            if trims { literal = literal.drop(while: \.isWhitespace) }
            rest = action.map { rest[$0.upperBound...] } ?? ""
            if rest.hasPrefix("- ") {
                rest.removeFirst()
                while literal.last?.isWhitespace == true { literal.removeLast() }
            }
            // As in Docker: for shells that do not make them.
            let unescaped = literal.replacing("\\t", with: "\t").replacing("\\n", with: "\n")
            if !unescaped.isEmpty { parts.append(.text(String(unescaped))) }
            guard action != nil else { break }
            var scanner = Scanner(rest: rest)
            let (expression, end) = try scanner.pipeline()
            guard end == .end || end == .trimmedEnd else { throw InvalidValue("has a \")\" too many") }
            parts.append(.action(expression))
            trims = end == .trimmedEnd
            rest = scanner.rest
        }
        self.parts = parts
    }

    private enum Token: Equatable {
        case field([String])
        case word(String)
        case text(String)
        case number(Int)
        case pipe, open, close, end, trimmedEnd
    }

    /// Reads what is between `{{` and `}}`.
    private struct Scanner {
        var rest: Substring
        /// Parentheses within parentheses: as deep as anybody needs.
        private var depth = 0

        init(rest: Substring) { self.rest = rest }

        /// - Returns: the token after it, too.
        mutating func pipeline() throws(InvalidValue) -> (Expression, Token) {
            depth += 1
            defer { depth -= 1 }
            guard depth < 20 else { throw InvalidValue("has too many parentheses within each other") }
            var (expression, next) = try command(after: nil)
            while next == .pipe { (expression, next) = try command(after: expression) }
            return (expression, next)
        }

        private mutating func command(after piped: Expression?) throws(InvalidValue) -> (Expression, Token) {
            var function: Function?
            var arguments: [Expression] = []
            var token = try self.token()
            while true {
                switch token {
                case .word(let word):
                    guard function == nil, arguments.isEmpty else {
                        throw InvalidValue("has \"\(word)\" among arguments; put it in parentheses with its own")
                    }
                    function = try Self.function(word)
                case .field(let path): arguments.append(.field(path))
                case .text(let text): arguments.append(.text(text))
                case .number(let number): arguments.append(.number(number))
                case .open:
                    let (expression, end) = try pipeline()
                    guard end == .close else { throw InvalidValue("has a \"(\" without its \")\"") }
                    arguments.append(expression)
                case .pipe, .close, .end, .trimmedEnd:
                    if let function {
                        arguments += [piped].compactMap { $0 }
                        guard function.arity.contains(arguments.count) else {
                            throw InvalidValue(
                                "gives \(function.rawValue) \(arguments.count) arguments, which is not right")
                        }
                        return (.call(function, arguments), token)
                    }
                    guard let only = arguments.first else { throw InvalidValue("has nothing where a field is to be") }
                    guard arguments.count == 1, piped == nil else {
                        throw InvalidValue("gives arguments to what is no function; there are \(Self.functions)")
                    }
                    return (only, token)
                }
                token = try self.token()
            }
        }

        private static let functions = Function.allCases.map(\.rawValue).joined(separator: ", ")
        private static let keywords = [
            "if", "else", "end", "range", "with", "define", "template", "block", "break", "continue",
        ]

        private static func function(_ word: String) throws(InvalidValue) -> Function {
            if let function = Function(rawValue: word) { return function }
            if keywords.contains(word) {
                throw InvalidValue(
                    "has \"\(word)\", and templates do not repeat or decide here; join puts a list together, and jq does "
                        + "all that with --format json")
            }
            throw InvalidValue(
                "has \"\(word)\", which is no function; there are \(functions), and fields begin with a dot")
        }

        private mutating func token() throws(InvalidValue) -> Token {
            rest = rest.drop(while: \.isWhitespace)
            for (sign, token) in [
                ("}}", Token.end), ("-}}", .trimmedEnd), ("|", .pipe), ("(", .open), (")", .close),
            ] where rest.hasPrefix(sign) {
                rest = rest.dropFirst(sign.count)
                return token
            }
            guard let first = rest.first else { throw InvalidValue("has a \"{{\" without its \"}}\"") }
            if first == "." { return .field(path()) }
            if first == "\"" || first == "`" { return .text(try quoted(by: first)) }
            if first.isNumber || first == "-" {
                let digits = rest.prefix { $0.isNumber || $0 == "-" }
                rest = rest.dropFirst(digits.count)
                guard let number = Int(digits) else {
                    throw InvalidValue("has \"\(digits)\", which is not a whole number")
                }
                return .number(number)
            }
            let word = rest.prefix(while: Self.isPartOfName)
            guard !word.isEmpty else {
                throw InvalidValue("has \"\(first)\", which is not known here; there are fields, functions and pipes")
            }
            rest = rest.dropFirst(word.count)
            return .word(String(word))
        }

        private mutating func path() -> [String] {
            var path: [String] = []
            while rest.first == "." {
                rest = rest.dropFirst()
                let name = rest.prefix(while: Self.isPartOfName)
                rest = rest.dropFirst(name.count)
                if !name.isEmpty { path.append(String(name)) }
            }
            return path
        }

        private mutating func quoted(by quote: Character) throws(InvalidValue) -> String {
            rest = rest.dropFirst()
            var text = ""
            while let character = rest.popFirst() {
                if character == quote { return text }
                guard character == "\\", quote == "\"" else {
                    text.append(character)
                    continue
                }
                switch rest.popFirst() {
                case "n": text.append("\n")
                case "t": text.append("\t")
                case let escaped?: text.append(escaped)
                case nil: break
                }
            }
            throw InvalidValue("has a string without its closing \(quote)")
        }

        private static func isPartOfName(_ character: Character) -> Bool {
            character.isLetter || character.isNumber || character == "_"
        }
    }
}

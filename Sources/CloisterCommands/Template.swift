import OCISpec

/// A template of Go's (pkg.go.dev/text/template) as `--format` takes it in Docker: text with actions such as `{{.Name}}`,
/// `{{json .}}`, `{{index .Config.Labels "key"}}` and `{{.Name | upper}}` among it. There are fields, strings, numbers,
/// the functions below, pipes and parentheses; what decides or repeats (`if`, `range`) and variables are not there.
struct Template: Equatable, Sendable {
    enum Function: String, CaseIterable {
        case json, join, split, upper, lower, index, len, truncate, print, println

        /// How many arguments it takes, the one that a pipe brings among them.
        var arity: ClosedRange<Int> {
            switch self {
            case .json, .upper, .lower, .len: 1...1
            case .join, .split, .truncate: 2...2
            case .index: 2...8
            case .print, .println: 0...8
            }
        }
    }

    indirect enum Expression: Equatable, Sendable {
        /// A path of names; none is `.` itself.
        case field([String])
        case text(String)
        case number(Int)
        case call(Function, [Expression])
    }

    enum Part: Equatable, Sendable {
        case text(String)
        case action(Expression)
    }

    let parts: [Part]

    /// What an expression comes to.
    private enum Value {
        /// Somebody else's: control characters in it must not reach a terminal.
        case data(JSONValue)
        /// Ours, or the person's at the terminal.
        case text(String)

        var json: JSONValue {
            switch self {
            case .data(let value): value
            case .text(let text): .string(text)
            }
        }
        var text: String {
            switch self {
            case .data(let value): Template.spell(value)
            case .text(let text): text
            }
        }
    }

    /// - Throws: `UserError` for a field that is not there, or a function that cannot take what it is given.
    func render(_ data: JSONValue) throws -> String { try render(data, asTitles: false) }

    /// The line above a table: functions leave titles as they are.
    func titles(_ titles: [String: String]) throws -> String {
        try render(.object(titles.mapValues(JSONValue.string)), asTitles: true)
    }

    private func render(_ data: JSONValue, asTitles: Bool) throws -> String {
        try parts.map { part in
            switch part {
            case .text(let text): text
            case .action(let expression): try Self.value(expression, data, asTitles).text
            }
        }.joined()
    }

    private static func value(_ expression: Expression, _ data: JSONValue, _ asTitles: Bool) throws -> Value {
        switch expression {
        case .text(let text): return .text(text)
        case .number(let number): return .data(.integer(Int64(number)))
        case .field(let path): return .data(try field(path, of: data))
        case .call(let function, let arguments):
            if asTitles {
                let title = arguments.first {
                    if case .text = $0 { false } else if case .number = $0 { false } else { true }
                }
                guard let title, title != .field([]) else { return .text("") }
                return try value(title, data, asTitles)
            }
            return try call(function, try arguments.map { try value($0, data, asTitles) })
        }
    }

    private static func field(_ path: [String], of data: JSONValue) throws -> JSONValue {
        var value = data
        for (depth, name) in path.enumerated() {
            let parent = path[..<depth].map { "." + $0 }.joined()
            guard let members = value.object else {
                throw UserError("--format: \(parent) has no fields, so there is no \(parent).\(name).")
            }
            // Docker has a field as `ID` here and as `Id` there.
            guard let found = members[name] ?? members.first(where: { $0.key.lowercased() == name.lowercased() })?.value
            else {
                let known = members.keys.sorted().prefix(40).map { Human.printable("\(parent).\($0)") }
                throw UserError(
                    "--format: there is no field \(parent).\(name) here; "
                        + (known.isEmpty ? "\(parent) is empty." : "there are \(known.joined(separator: ", "))."))
            }
            value = found
        }
        return value
    }

    private static func call(_ function: Function, _ arguments: [Value]) throws -> Value {
        func refuse(_ why: String) -> UserError { UserError("--format: \(function.rawValue) \(why).") }
        switch function {
        case .json: return .text(try JSONText.of(arguments[0].json))
        case .upper: return .text(arguments[0].text.uppercased())
        case .lower: return .text(arguments[0].text.lowercased())
        case .print: return .text(arguments.map(\.text).joined())
        case .println: return .text(arguments.map(\.text).joined(separator: " ") + "\n")
        case .join:
            if case .null = arguments[0].json { return .text("") }
            guard case .array(let items) = arguments[0].json else {
                throw refuse("needs a list and what is to be between")
            }
            return .text(items.map(spell).joined(separator: arguments[1].text))
        case .split:
            let (whole, separator) = (arguments[0].text, arguments[1].text)
            let pieces =
                separator.isEmpty
                ? whole.map { String($0) }
                : whole.split(separator: separator, omittingEmptySubsequences: false).map { String($0) }
            return .data(.array(pieces.map(JSONValue.string)))
        case .truncate:
            guard case .integer(let length) = arguments[1].json, length >= 0 else {
                throw refuse("needs a text and a length")
            }
            return .text(String(arguments[0].text.prefix(Int(clamping: length))))
        case .len:
            switch arguments[0].json {
            case .array(let items): return .data(.integer(Int64(items.count)))
            case .object(let members): return .data(.integer(Int64(members.count)))
            case .string(let text): return .data(.integer(Int64(text.utf8.count)))
            case .null: return .data(.integer(0))
            default: throw refuse("needs a list, a map or a text")
            }
        case .index:
            var value = arguments[0].json
            for key in arguments.dropFirst() {
                switch (value, key.json) {
                case (.array(let items), .integer(let place)):
                    guard items.indices.contains(Int(clamping: place)) else {
                        throw refuse("finds no item \(place) in a list of \(items.count)")
                    }
                    value = items[Int(place)]
                // As Go: what is not in a map is nothing, not an error.
                case (.object(let members), .string(let name)): value = members[name] ?? .string("")
                case (.null, .string): value = .string("")
                default: throw refuse("needs a list and a number, or a map and a key")
                }
            }
            return .data(value)
        }
    }

    /// As Go prints a value.
    private static func spell(_ value: JSONValue) -> String {
        switch value {
        case .null: "<no value>"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let text): Human.printable(text)
        case .array(let items): "[" + items.map(spell).joined(separator: " ") + "]"
        case .object(let members):
            "map["
                + members.sorted { $0.key < $1.key }.map { "\(Human.printable($0.key)):\(spell($0.value))" }.joined(
                    separator: " ") + "]"
        }
    }
}

import Config

/// Turns a command line into a command that is ready to run.
///
/// `--flag=value`, `--flag value`, `-f value`, `-fvalue`, `-f=value`, and short flags together (`-it`); `--` ends the
/// flags; a lone `-` is an argument.
struct CommandLineParser {
    enum Outcome {
        case run(any Command)
        /// `--help` was asked for, of the command at the end of this path.
        case help([any Command.Type])
        /// A group was named without one of its commands.
        case incomplete([any Command.Type])
    }

    let root: any Command.Type

    /// - Parameter arguments: without the program's name.
    /// - Throws: `UserError`.
    func parse(_ arguments: [String]) throws -> Outcome {
        var path: [any Command.Type] = [root]
        var rest = arguments[...]
        var current = root
        while !current.configuration.subcommands.isEmpty {
            guard let word = rest.first else { return .incomplete(path) }
            if word == "--help" || word == "-h" { return .help(path) }
            if current == root, word == "--version" {
                // As everywhere; the command is `version`.
                rest = ["version"] + rest.dropFirst()
                continue
            }
            guard let next = try subcommand(word, of: current, path: path) else { return .help(path) }
            path.append(next)
            current = next
            rest = rest.dropFirst()
        }
        return try parse(rest, as: current, path: path)
    }

    private func subcommand(
        _ word: String, of group: any Command.Type, path: [any Command.Type]
    ) throws -> (any Command.Type)? {
        let candidates = group.configuration.subcommands
        if let found = candidates.first(where: { ([$0.configuration.name] + $0.configuration.aliases).contains(word) })
        {
            return found
        }
        if word == "help" { return nil }
        let spelled = Self.spell(path)
        if word.hasPrefix("-") {
            throw UserError("\(spelled) does not know \(word); flags come after the command. See \(spelled) --help.")
        }
        let names = candidates.flatMap { [$0.configuration.name] + $0.configuration.aliases }
        let hint = Suggestion.nearest(to: word, among: names).map { "; did you mean \($0)?" } ?? "."
        throw UserError("\"\(word)\" is not a command of \(spelled)\(hint) See \(spelled) --help.")
    }

    private func parse(
        _ arguments: ArraySlice<String>, as type: any Command.Type, path: [any Command.Type]
    ) throws -> Outcome {
        let command = type.init()
        let spelled = Self.spell(path)
        let properties = Self.properties(of: command)
        var positional: [String] = []
        var rest = arguments
        while let word = rest.popFirst() {
            if word == "--" {
                positional += rest
                break
            }
            guard word.hasPrefix("-"), word != "-" else {
                positional.append(word)
                if type.configuration.flagsEndAtFirstArgument {
                    positional += rest
                    break
                }
                continue
            }
            if word == "--help" { return .help(path) }
            if word.hasPrefix("--") {
                try long(word.dropFirst(2), properties, &rest, spelled)
            } else if try short(word.dropFirst(), properties, &rest, spelled) {
                return .help(path)
            }
        }
        try assign(positional, properties, spelled)
        try command.validate()
        return .run(command)
    }

    /// The declared properties, in the order they are declared.
    static func properties(of command: any Command) -> [any ParsedProperty] {
        Mirror(reflecting: command).children.compactMap { $0.value as? any ParsedProperty }
    }

    static func spell(_ path: [any Command.Type]) -> String {
        path.map { $0.configuration.name }.joined(separator: " ")
    }

    private func long(
        _ text: Substring, _ properties: [any ParsedProperty], _ rest: inout ArraySlice<String>, _ spelled: String
    ) throws {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        guard name.count > 1, let property = properties.first(where: { $0.declaration.names.contains(name) }) else {
            let names = properties.flatMap(\.declaration.names).filter { $0.count > 1 } + ["help"]
            let hint = Suggestion.nearest(to: name, among: names).map { "; did you mean --\($0)?" } ?? "."
            throw UserError("\(spelled) does not know --\(name)\(hint) See \(spelled) --help.")
        }
        try set(property, "--\(name)", parts.count == 2 ? String(parts[1]) : nil, &rest, spelled)
    }

    /// - Returns: whether it is a call for help.
    private func short(
        _ letters: Substring, _ properties: [any ParsedProperty], _ rest: inout ArraySlice<String>, _ spelled: String
    ) throws -> Bool {
        var letters = letters
        while let letter = letters.popFirst() {
            let name = String(letter)
            guard let property = properties.first(where: { $0.declaration.names.contains(name) }) else {
                if letter == "h" { return true }
                throw UserError("\(spelled) does not know -\(name). See \(spelled) --help.")
            }
            if case .flag = property.declaration.kind, letters.first != "=" {
                try set(property, "-\(name)", nil, &rest, spelled)
                continue
            }
            let attached = letters.first == "=" ? letters.dropFirst() : letters
            try set(property, "-\(name)", letters.isEmpty ? nil : String(attached), &rest, spelled)
            return false
        }
        return false
    }

    private func set(
        _ property: any ParsedProperty, _ name: String, _ attached: String?, _ rest: inout ArraySlice<String>,
        _ spelled: String
    ) throws {
        let value: String
        switch property.declaration.kind {
        case .flag: value = attached ?? "true"
        case .optionWithDefault(let bare): value = attached ?? bare
        default:
            guard let found = attached ?? rest.popFirst() else {
                throw UserError(
                    "\(name) needs a value: \(name) \(property.declaration.valueName). See \(spelled) --help.")
            }
            value = found
        }
        do throws(InvalidValue) { try property.set(value) } catch {
            throw UserError("\(name): \"\(value)\" \(error.reason).")
        }
    }

    private func assign(_ words: [String], _ properties: [any ParsedProperty], _ spelled: String) throws {
        var words = words[...]
        for property in properties where property.declaration.isPositional {
            let declaration = property.declaration
            var count = words.count
            if case .argument = declaration.kind { count = min(count, 1) }
            if count == 0 && declaration.required {
                throw UserError("\(spelled) needs \(declaration.valueName). See \(spelled) --help.")
            }
            for word in words.prefix(count) {
                do throws(InvalidValue) { try property.set(word) } catch {
                    throw UserError("\(declaration.valueName): \"\(word)\" \(error.reason).")
                }
            }
            words = words.dropFirst(count)
        }
        if let extra = words.first {
            throw UserError(
                "\(spelled) takes no more arguments than it has: \"\(extra)\" is too many. "
                    + "See \(spelled) --help.")
        }
    }
}

/// What `--help` prints, and the command reference: both from the declarations.
struct Help {
    let path: [any Command.Type]

    private var configuration: CommandConfiguration { path[path.count - 1].configuration }
    private var name: String { CommandLineParser.spell(path) }
    private var declarations: [Declaration] {
        CommandLineParser.properties(of: path[path.count - 1].init()).map(\.declaration).filter { !$0.hidden }
    }

    private var usage: String {
        if !configuration.subcommands.isEmpty { return "\(name) COMMAND" }
        var words = [name]
        if declarations.contains(where: { !$0.isPositional }) { words.append("[FLAGS]") }
        for declaration in declarations where declaration.isPositional {
            var word = declaration.valueName
            if case .remainder = declaration.kind { word += "..." }
            words.append(declaration.required ? word : "[\(word)]")
        }
        return words.joined(separator: " ")
    }

    /// `-m, --memory BYTES`; long names are aligned whether or not there is a short one.
    private static func label(_ declaration: Declaration) -> String {
        if declaration.isPositional { return declaration.valueName }
        let short = declaration.names.filter { $0.count == 1 }.map(Declaration.spell)
        let long = declaration.names.filter { $0.count > 1 }.map(Declaration.spell)
        var label = (short + long).joined(separator: ", ")
        if short.isEmpty { label = "    " + label }
        switch declaration.kind {
        case .option: label += " \(declaration.valueName)"
        case .optionWithDefault: label += "[=\(declaration.valueName)]"
        default: break
        }
        return label
    }

    /// The rows of each section.
    private var sections: [(title: String, rows: [(String, String)])] {
        let commands = configuration.subcommands.map { type in
            (
                (([type.configuration.name] + type.configuration.aliases).joined(separator: ", ")),
                type.configuration.abstract
            )
        }
        let arguments = declarations.filter(\.isPositional).map { (Self.label($0), $0.help) }
        var flags = declarations.filter { !$0.isPositional }.map { (Self.label($0), $0.help) }
        if !flags.isEmpty || configuration.subcommands.isEmpty {
            flags.append(("    --help", "Print this and exit."))
        }
        return [("Commands", commands), ("Arguments", arguments), ("Flags", flags)].filter { !$0.1.isEmpty }
    }

    var text: String {
        var lines = ["Usage: \(usage)", ""]
        lines += Self.wrap(configuration.abstract, width: 100)
        if !configuration.discussion.isEmpty {
            for paragraph in configuration.discussion.split(separator: "\n", omittingEmptySubsequences: false) {
                lines += paragraph.isEmpty ? [""] : Self.wrap(String(paragraph), width: 100)
            }
        }
        for section in sections {
            lines += ["", "\(section.title):"]
            let width = min(30, (section.rows.map(\.0.count).max() ?? 0))
            for (label, help) in section.rows {
                let wrapped = Self.wrap(help, width: 96 - width)
                let padding = String(repeating: " ", count: width + 4)
                if label.count > width {
                    lines.append("  \(label)")
                    lines += wrapped.map { padding + $0 }
                } else {
                    let head = "  " + label + String(repeating: " ", count: width - label.count + 2)
                    lines.append(head + (wrapped.first ?? ""))
                    lines += wrapped.dropFirst().map { padding + $0 }
                }
            }
        }
        if !configuration.subcommands.isEmpty { lines += ["", "\(name) COMMAND --help tells more about a command."] }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The reference of the command and all below it, as `docs/commands.md` has it.
    var markdown: String {
        var text = "\(path.count == 1 ? "#" : "##") \(name)\n\n```\n\(self.text)```\n"
        for type in configuration.subcommands { text += "\n" + Help(path: path + [type]).markdown }
        return text
    }

    private static func wrap(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty && line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            line += line.isEmpty ? String(word) : " \(word)"
        }
        if !line.isEmpty { lines.append(line) }
        return lines
    }
}

import OCISpec

/// What a command lists: rows of one kind, printed as a table, as JSON, or as nothing but their ids.
struct Listing<Row: Encodable> {
    /// What there is to say of a row: a column of the table, or for templates alone.
    struct Field {
        /// As templates call it; as Docker does, where it has one.
        var name: String
        var title: String
        var isColumn: Bool
        var text: (Row) -> String

        /// - Parameter title: above its column; by default the name's words, in capitals.
        init(_ name: String, title: String? = nil, isColumn: Bool = true, text: @escaping (Row) -> String) {
            self.name = name
            self.title = title ?? Self.title(name)
            self.isColumn = isColumn
            self.text = text
        }

        /// `CreatedBy` is `CREATED BY`, and `ID` itself.
        private static func title(_ name: String) -> String {
            var title = ""
            for (before, character) in zip(" " + name, name) {
                if character.isUppercase, before.isLowercase { title += " " }
                title += character.uppercased()
            }
            return title
        }
    }

    /// In the table's order.
    var fields: [Field]
    /// What `--quiet` prints of a row.
    var id: (Row) -> String

    /// - Throws: `UserError` for a template that asks for what is not there.
    func render(_ rows: [Row], _ format: ListFormat, quiet: Bool = false) throws -> String {
        if quiet { return rows.map { Human.printable(id($0)) + "\n" }.joined() }
        switch format {
        case .json: return try JSONText.of(rows, pretty: true) + "\n"
        case .table:
            let columns = fields.filter(\.isColumn)
            return Self.table(
                [columns.map(\.title)] + rows.map { row in columns.map { Human.printable($0.text(row)) } })
        case .template(let template):
            // A wrong field is one in an empty list, too.
            _ = try titles(template)
            return try rows.map { try template.render(data($0)) + "\n" }.joined()
        case .tableTemplate(let template):
            let lines = try [titles(template)] + rows.map { try template.render(data($0)) }
            return Self.table(
                lines.map { $0.split(separator: "\t", omittingEmptySubsequences: false).map { String($0) } })
        }
    }

    private func titles(_ template: Template) throws -> String {
        try template.titles(Dictionary(fields.map { ($0.name, $0.title) }, uniquingKeysWith: { first, _ in first }))
    }

    /// Texts all, as in Docker.
    private func data(_ row: Row) -> JSONValue {
        .object(
            Dictionary(fields.map { ($0.name, .string($0.text(row))) }, uniquingKeysWith: { first, _ in first }))
    }

    /// Columns as wide as their widest cell, two spaces apart; the last of a line is not padded.
    private static func table(_ lines: [[String]]) -> String {
        let count = lines.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in lines.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return lines.map { cells in
            var line = ""
            for (column, cell) in cells.enumerated() {
                line += cell
                if column < cells.count - 1 { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }
}

/// `--format` of a list.
enum ListFormat: ArgumentValue, Equatable, Sendable {
    case table, json
    /// A line a row.
    case template(Template)
    /// Columns are what tabs divide, below a line of titles.
    case tableTemplate(Template)

    static let help = """
        Print a table, which is the default, JSON, or what a Go template makes of each row: "{{json .}}" shows what there is \
        for templates, and "table TEMPLATE" aligns it at tabs, below titles.
        """

    init(argument: String) throws(InvalidValue) {
        let isTable = argument.hasPrefix("table ")
        switch argument {
        case "table": self = .table
        case "json": self = .json
        case _ where isTable && argument.contains("{{"):
            self = .tableTemplate(try Template(String(argument.dropFirst("table ".count).drop { $0 == " " })))
        case _ where argument.contains("{{"): self = .template(try Template(argument))
        default: throw InvalidValue("is neither table nor json nor a Go template such as \"{{.ID}}\"")
        }
    }
}

/// JSON for whoever reads standard output.
enum JSONText {
    /// JSON may have DEL and C1 controls as they are, which steer some terminals as well as those below 0x20 do.
    static func of<T: Encodable>(_ value: T, pretty: Bool = false) throws -> String {
        let text = String(decoding: try OCIJSON.encode(value, pretty: pretty), as: UTF8.self)
        guard text.unicodeScalars.contains(where: { (0x7f...0x9f).contains($0.value) }) else { return text }
        return text.unicodeScalars.map {
            (0x7f...0x9f).contains($0.value) ? "\\u00" + String($0.value, radix: 16) : String($0)
        }.joined()
    }
}

/// Numbers as people read them.
enum Human {
    /// e.g. `1.5 GiB`.
    static func size(_ bytes: Int64) -> String {
        if bytes < 1024 { return "\(bytes) B" }
        var tenths = bytes * 10 / 1024
        var units = ["KiB", "MiB", "GiB", "TiB"][...]
        while tenths >= 10240, units.count > 1 {
            tenths /= 1024
            units = units.dropFirst()
        }
        let fraction = tenths >= 1000 || tenths % 10 == 0 ? "" : ".\(tenths % 10)"
        return "\(tenths / 10)\(fraction) \(units.first ?? "")"
    }

    /// e.g. `2 minutes ago`. - Parameter seconds: how long ago; what lies ahead, by a wrong clock, is just now.
    static func age(seconds: Int64) -> String {
        let steps: [(Int64, String)] = [
            (60, "second"), (60, "minute"), (24, "hour"), (7, "day"), (52, "week"), (.max, "year"),
        ]
        if seconds < 1 { return "just now" }
        var value = seconds
        for (size, name) in steps {
            if value < size { return "\(value) \(name)\(value == 1 ? "" : "s") ago" }
            value /= size
        }
        return "long ago"
    }

    /// Others' words, which must not steer the terminal. - Parameter width: what is longer is cut.
    static func printable(_ text: String, width: Int? = nil) -> String {
        let safe = String(
            String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }))
        guard let width, safe.count > width else { return safe }
        return safe.prefix(width - 1) + "…"
    }

    /// e.g. `12.3 ms`.
    static func milliseconds(_ duration: Duration) -> String {
        let tenths = duration.components.seconds * 10_000 + duration.components.attoseconds / 100_000_000_000_000
        return "\(tenths / 10).\(tenths % 10) ms"
    }
}

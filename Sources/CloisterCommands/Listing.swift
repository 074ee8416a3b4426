import OCISpec

/// What a command lists: rows of one kind, printed as a table, as JSON, or as nothing but their ids.
struct Listing<Row: Encodable> {
    struct Column {
        var title: String
        var text: (Row) -> String
    }

    var columns: [Column]
    /// What `--quiet` prints of a row.
    var id: (Row) -> String

    func render(_ rows: [Row], _ format: ListFormat, quiet: Bool = false) throws -> String {
        if quiet { return rows.map { id($0) + "\n" }.joined() }
        switch format {
        case .json: return String(decoding: try OCIJSON.encode(rows, pretty: true), as: UTF8.self) + "\n"
        case .table: return Self.table([columns.map(\.title)] + rows.map { row in columns.map { $0.text(row) } })
        }
    }

    /// Columns as wide as their widest cell, two spaces apart; the last is not padded.
    private static func table(_ lines: [[String]]) -> String {
        guard let count = lines.first?.count else { return "" }
        let widths = (0..<count).map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { cells in
            var line = ""
            for (column, cell) in cells.enumerated() {
                line += cell
                if column < count - 1 { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
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

import System
import Testing

@testable import CloisterCommands

@Suite struct ListingTests {
    struct Row: Encodable {
        var name: String
        var size: Int
    }

    let listing = Listing<Row>(
        fields: [
            .init("Name") { $0.name }, .init("SizeInBytes", isColumn: false) { "\($0.size)" },
            .init("Size") { "\($0.size)" },
        ], id: { $0.name })
    let rows = [Row(name: "a", size: 10), Row(name: "longer", size: 2)]

    @Test func tables() throws {
        #expect(try listing.render(rows, .table) == "NAME    SIZE\na       10\nlonger  2\n")
        #expect(try listing.render([], .table) == "NAME  SIZE\n")
    }

    @Test func json() throws {
        let text = try listing.render(rows, .json)
        #expect(text.filter { !$0.isWhitespace } == #"[{"name":"a","size":10},{"name":"longer","size":2}]"#)
        #expect(try listing.render([], .json).filter { !$0.isWhitespace } == "[]")
    }

    @Test func quiet() throws {
        #expect(try listing.render(rows, .json, quiet: true) == "a\nlonger\n")
        #expect(try listing.render([], .table, quiet: true) == "")
    }

    func render(_ format: String, _ rows: [Row]? = nil) throws -> String {
        try listing.render(rows ?? self.rows, try ListFormat(argument: format))
    }

    @Test func templates() throws {
        #expect(try render("{{.Name}}:{{.Size}}") == "a:10\nlonger:2\n")
        #expect(
            try render("{{json .}}")
                == #"{"Name":"a","Size":"10","SizeInBytes":"10"}"# + "\n"
                + #"{"Name":"longer","Size":"2","SizeInBytes":"2"}"# + "\n")
        #expect(try render("{{.Name}}", []) == "")
    }

    @Test func tablesOfTemplates() throws {
        #expect(try render(#"table {{.Name}}\t{{.SizeInBytes}}"#) == "NAME    SIZE IN BYTES\na       10\nlonger  2\n")
        #expect(try render("table {{.Size}}\t{{upper .Name}}", []) == "SIZE  NAME\n")
        #expect(
            try render(#"table {{truncate .Name 1}}\t{{join (split .Name "n") "-"}}x"#)
                == "NAME  NAMEx\na     ax\nl     lo-gerx\n")
    }

    @Test func aFieldThatIsNotThereIsNamedInAnEmptyListToo() {
        #expect(
            throws: UserError("--format: there is no field .Sise here; there are .Name, .Size, .SizeInBytes.")
        ) { try render("{{.Sise}}", []) }
        #expect(throws: UserError("--format: .Name has no fields, so there is no .Name.First.")) {
            try render("{{.Name.First}}")
        }
    }

    @Test func othersWordsDoNotSteerTheTerminal() throws {
        let rows = [Row(name: "a\u{1b}[2J\u{9b}1m\u{7f}\n", size: 1)]
        for format in [
            "table", "json", "{{.Name}}", "table {{.Name}}", "{{json .}}", "{{json .Name}}", "{{upper .Name}}",
        ] {
            let text = try render(format, rows)
            #expect(
                text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control || $0 == "\n" }, "\(format)")
            #expect(text.contains("2J"))
        }
        #expect(try render("{{json .Name}}", rows) == #""a\u001b[2J\u009b1m\u007f\n""# + "\n")
        #expect(try listing.render(rows, .table, quiet: true) == "a?[2J?1m??\n")
    }

    @Test(arguments: ["xml", "", "table x", "tablet", "Name"])
    func isNoFormat(_ text: String) { #expect(throws: InvalidValue.self) { try ListFormat(argument: text) } }

    @Test(
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1_036_380, "1012 KiB"),
            (1 << 20, "1 MiB"),
            (3 << 29, "1.5 GiB"), (1 << 40, "1 TiB"), (123 << 20, "123 MiB"), (Int64.max / 16, "524287 TiB"),
        ] as [(Int64, String)])
    func sizes(_ bytes: Int64, _ expected: String) { #expect(Human.size(bytes) == expected) }

    @Test(
        arguments: [
            (-5, "just now"), (0, "just now"), (1, "1 second ago"), (59, "59 seconds ago"), (60, "1 minute ago"),
            (7200, "2 hours ago"), (86_400, "1 day ago"), (8 * 86_400, "1 week ago"), (800 * 86_400, "2 years ago"),
        ] as [(Int64, String)])
    func ages(_ seconds: Int64, _ expected: String) { #expect(Human.age(seconds: seconds) == expected) }
}

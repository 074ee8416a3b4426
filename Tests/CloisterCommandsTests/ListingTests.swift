import System
import Testing

@testable import CloisterCommands

@Suite struct ListingTests {
    struct Row: Encodable {
        var name: String
        var size: Int
    }

    let listing = Listing<Row>(
        columns: [.init(title: "NAME") { $0.name }, .init(title: "SIZE") { "\($0.size)" }], id: { $0.name })
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

import Testing

@testable import CloisterCommands

@Suite struct ImageFilterTests {
    @Test(arguments: [
        ("reference=a*", ImageFilter.Key.reference, "a*"), ("label=a=b=c", .label, "a=b=c"),
        ("until=24h", .until, "24h"),
        ("dangling=true", .dangling, "true"), ("since=x", .since, "x"), ("until=2026-01-31", .until, "2026-01-31"),
    ])
    func isUnderstood(_ text: String, _ key: ImageFilter.Key, _ value: String) throws {
        let filter = try ImageFilter(argument: text)
        #expect(filter.key == key && filter.value == value)
    }

    @Test(arguments: ["", "x", "reference", "reference=", "colour=red", "dangling=perhaps", "until=soon"])
    func isRefused(_ text: String) { #expect(throws: InvalidValue.self) { try ImageFilter(argument: text) } }

    @Test(arguments: [
        ("1970-01-01T00:01:00Z", 60.0), ("1970-01-01T00:01:00.999999999Z", 60), ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-02", 86400), ("90", 90), ("1m", 940),
    ])
    func momentsAreTakenAsDockerTakesThem(_ text: String, _ seconds: Double) {
        #expect(Timestamp.moment(text, now: 1000) == seconds)
    }

    @Test func othersWordsDoNotSteerTheTerminal() {
        #expect(Human.printable("a\u{1b}[2Jb\n") == "a?[2Jb?")
        #expect(Human.printable("abcdef", width: 4) == "abc…")
    }
}

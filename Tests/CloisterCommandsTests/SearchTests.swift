import Testing

@testable import CloisterCommands

@Suite struct SearchTests {
    @Test(arguments: [
        ("alpine", "docker.io", "alpine"), ("some/thing", "docker.io", "some/thing"),
        ("library/alpine", "docker.io", "alpine"),
        ("docker.io/library/alpine", "docker.io", "alpine"), ("index.docker.io/alpine", "docker.io", "alpine"),
        ("example.com", "docker.io", "example.com"), ("example.com/", "example.com", ""),
        ("localhost/x", "localhost", "x"), ("localhost:5000/a/b", "localhost:5000", "a/b"), ("h:1/a:b", "h:1", "a:b"),
    ])
    func whoIsAskedForWhat(_ text: String, _ domain: String, _ term: String) throws {
        let place = try SearchCommand.place(text)
        #expect(place.domain == domain && place.term == term)
    }

    @Test func theDefaultRegistryIsAskedForTermsWithoutOne() throws {
        #expect(try SearchCommand.place("library/x", "example.com") == ("example.com", "library/x"))
        #expect(try SearchCommand.place("docker.io/x", "example.com") == ("docker.io", "x"))
        #expect(try SearchCommand.place("h:1/", "example.com") == ("h:1", ""))
    }

    @Test(arguments: [
        ("", "Docker Hub does not list"), ("docker.io/", "Docker Hub does not list"),
        ("localhost:5000", "end its address with a slash"),
        ("bad_host.com/", "is not a registry's address"), ("-.x/", "is not a registry's address"),
    ])
    func nobodyCanBeAsked(_ text: String, _ reason: String) {
        let error = #expect(throws: UserError.self) { try SearchCommand.place(text) }
        #expect(error?.description.contains(reason) == true)
    }

    @Test(arguments: [
        ("stars=3", SearchFilter.stars(3)), ("is-official=true", .official(true)),
        ("is-automated=0", .automated(false)),
    ])
    func filters(_ text: String, _ filter: SearchFilter) throws { #expect(try SearchFilter(argument: text) == filter) }

    @Test(arguments: ["", "stars", "stars=", "stars=-1", "stars=many", "is-official", "is-official=perhaps", "name=x"])
    func isNoFilter(_ text: String) { #expect(throws: InvalidValue.self) { try SearchFilter(argument: text) } }

    @Test(arguments: [
        ["--limit", "0", "x"], ["--limit", "100001", "x"], ["--limit", "x", "x"], [], ["x", "y"],
        ["--list-tags", "-f", "stars=1", "x"],
    ])
    func isRefused(_ words: [String]) { #expect(!refusal(["search"] + words).hasPrefix("accepted")) }
}

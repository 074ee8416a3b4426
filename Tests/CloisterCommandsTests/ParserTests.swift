import Testing

@testable import CloisterCommands
@testable import Config

@Suite struct ParserTests {
    @Test(arguments: [
        ("separate", ["--workdir", "/a"]), ("joined", ["--workdir=/a"]), ("short", ["-w", "/a"]),
        ("short, attached", ["-w/a"]), ("short, joined", ["-w=/a"]), ("after letters", ["-itw", "/a"]),
        ("the last one holds", ["-w", "/b", "-w", "/a"]),
    ])
    func aValueIsGivenInAnyForm(_ name: String, _ flags: [String]) throws {
        // -it asks for a terminal, which tests have not.
        let flags = flags.map { $0 == "-itw" ? "-tw" : $0 }
        let command = try run(flags)
        #expect(command.workingDirectory == "/a")
        #expect(command.image == "image")
    }

    @Test(arguments: [
        (["--rm"], true), (["--rm=true"], true), (["--rm=false"], false), (["--rm", "--rm=false"], false), ([], false),
    ])
    func flagsAreOnOrOff(_ flags: [String], _ expected: Bool) throws {
        #expect(try run(flags).remove == expected)
    }

    @Test(arguments: [
        ("flags of the command", ["image", "ls", "-l", "--rm"], ["ls", "-l", "--rm"]),
        ("dashes end the flags", ["--", "image", "-x"], ["-x"]),
        ("dashes after the image", ["image", "--", "-x"], ["--", "-x"]),
        ("none", ["image"], []),
        ("a lone dash", ["image", "-"], ["-"]),
        ("empty words", ["image", ""], [""]),
    ])
    func whatFollowsTheImageIsTheCommand(_ name: String, _ words: [String], _ command: [String]) throws {
        let parsed = try run(["-i"], words)
        #expect(parsed.image == "image")
        #expect(parsed.command == command)
        #expect(parsed.interactive)
        #expect(!parsed.remove)
    }

    @Test func listsGrow() throws {
        let command = try run(["-e", "A=1", "-eB=2", "--env=C=x=y", "--cap-add", "ALL", "--cap-add=NET_ADMIN"])
        #expect(command.environment == ["A=1", "B=2", "C=x=y"])
        #expect(command.addedCapabilities == ["ALL", "NET_ADMIN"])
    }

    @Test(arguments: [
        (["--timings"], TimingsFormat.table), (["--timings=json"], .json), (["--timings=table"], .table), ([], nil),
    ])
    func timingsTakeAFormatOrNone(_ flags: [String], _ expected: TimingsFormat?) throws {
        let command = try run(flags)
        #expect(command.timings == expected)
        #expect(command.image == "image")
    }

    @Test(arguments: [
        (
            ["run", "--memry", "1g", "i"],
            "cloister run does not know --memry; did you mean --memory? See cloister run --help."
        ),
        (["run", "--frobnicate", "i"], "cloister run does not know --frobnicate. See cloister run --help."),
        (["run", "-Z", "i"], "cloister run does not know -Z. See cloister run --help."),
        (["run", "-iZ", "i"], "cloister run does not know -Z. See cloister run --help."),
        (["run"], "cloister run needs IMAGE. See cloister run --help."),
        (["run", ""], "cloister run needs IMAGE, which is an empty string here."),
        (["run", "--name"], "--name needs a value: --name NAME. See cloister run --help."),
        (["run", "-e"], "-e needs a value: -e NAME[=VALUE]. See cloister run --help."),
        (["run", "--rm=perhaps", "i"], "--rm: \"perhaps\" is neither true nor false."),
        (["run", "--accelerator", "xen", "i"], "--accelerator: \"xen\" is not one of auto, kvm, emulation."),
        (["rnu", "i"], "\"rnu\" is not a command of cloister; did you mean run? See cloister --help."),
        (["zebra"], "\"zebra\" is not a command of cloister. See cloister --help."),
        (["--debug", "run"], "cloister does not know --debug; flags come after the command. See cloister --help."),
    ])
    func aWrongLineIsRefusedWithASentence(_ words: [String], _ expected: String) {
        #expect(refusal(words) == expected)
    }

    @Test(arguments: [["--help"], ["-h"], ["help"], ["run", "--help"], ["run", "--rm", "--help"]])
    func helpIsThere(_ words: [String]) throws {
        guard case .help(let path) = try CommandLineParser(root: RootCommand.self).parse(words) else {
            Issue.record("no help for \(words)")
            return
        }
        #expect(Help(path: path).text.hasPrefix("Usage: \(words.first == "run" ? "cloister run" : "cloister") "))
    }

    @Test func helpAfterTheImageIsTheCommands() throws {
        #expect(try run([], ["image", "--help"]).command == ["--help"])
    }

    @Test(arguments: [
        ("run", "rnu", 1), ("memory", "memry", 1), ("", "abc", 3), ("same", "same", 0), ("abc", "xyz", 3),
    ])
    func editsAreCounted(_ left: String, _ right: String, _ expected: Int) {
        #expect(Suggestion.distance(left, right) == expected)
        #expect(Suggestion.distance(right, left) == expected)
    }
}

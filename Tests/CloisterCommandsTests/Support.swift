import Testing

@testable import CloisterCommands

/// Parses a command line to the command of the type expected.
func parse<T: Command>(_ words: [String], as type: T.Type = T.self) throws -> T {
    guard case .run(let command) = try CommandLineParser(root: RootCommand.self).parse(words) else {
        throw UserError("not a command that runs")
    }
    return try #require(command as? T)
}

func run(_ flags: [String], _ rest: [String] = ["image"]) throws -> RunCommand {
    try parse(["run"] + flags + rest)
}

/// The sentence a command line is refused with.
func refusal(_ words: [String]) -> String {
    do {
        let outcome = try CommandLineParser(root: RootCommand.self).parse(words)
        return "accepted as \(outcome)"
    } catch { return "\(error)" }
}

/// A command, in the shape of swift-argument-parser's: its options and arguments are properties declared with `@Flag`,
/// `@Option` and `@Argument`; the parser fills them, `validate` judges them together, `run` does the work.
public protocol Command {
    static var configuration: CommandConfiguration { get }
    init()
    /// - Throws: `UserError` for values that are each fine but not together.
    func validate() throws
    /// - Throws: `UserError` or `ExitCode`; any other error is printed as it describes itself.
    func run() throws
}

extension Command {
    public func validate() throws {}
}

/// A command that only groups others.
public protocol CommandGroup: Command {}

extension CommandGroup {
    public func run() throws {}
}

public struct CommandConfiguration {
    public var name: String
    public var aliases: [String]
    /// One line, for the list of commands.
    public var abstract: String
    /// Paragraphs below the usage line.
    public var discussion: String
    public var subcommands: [any Command.Type]
    /// Everything after the first positional argument is positional, as in `run IMAGE ls -l`.
    public var flagsEndAtFirstArgument: Bool

    public init(
        _ name: String, aliases: [String] = [], abstract: String, discussion: String = "",
        subcommands: [any Command.Type] = [], flagsEndAtFirstArgument: Bool = false
    ) {
        self.name = name
        self.aliases = aliases
        self.abstract = abstract
        self.discussion = discussion
        self.subcommands = subcommands
        self.flagsEndAtFirstArgument = flagsEndAtFirstArgument
    }
}

/// A failure that is the user's to mend: one sentence that names the thing and the remedy. Printed after `cloister: `.
public struct UserError: Error, CustomStringConvertible, Equatable {
    public let description: String
    public let exitCode: Int32
    public init(_ description: String, exitCode: Int32 = ExitCode.failure.value) {
        self.description = description
        self.exitCode = exitCode
    }
}

/// Ends the program with a status and no words.
public struct ExitCode: Error, Equatable {
    public let value: Int32
    public init(_ value: Int32) { self.value = value }

    /// Cloister itself failed; a container's own status is passed on instead (as in Docker).
    public static let failure = ExitCode(125)
    /// The container ran longer than `--timeout` (as of timeout(1)).
    public static let timedOut = ExitCode(124)
    /// The command is there but cannot be executed.
    public static let notExecutable = ExitCode(126)
    /// The command is not there.
    public static let notFound = ExitCode(127)
}

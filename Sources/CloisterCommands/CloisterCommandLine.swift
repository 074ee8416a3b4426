import Glibc

/// `cloister`: everything its `main` does.
public enum CloisterCommandLine {
    /// - Parameter arguments: with the program's name first.
    /// - Returns: the exit status.
    public static func main(_ arguments: [String]) -> Int32 {
        do {
            switch try CommandLineParser(root: RootCommand.self).parse(Array(arguments.dropFirst())) {
            case .help(let path):
                Output.standard(Help(path: path).text)
            case .incomplete(let path):
                Output.error(Help(path: path).text)
                throw UserError("\(CommandLineParser.spell(path)) needs one of the commands above.")
            case .run(let command):
                try command.run()
            }
            return 0
        } catch {
            return report(error)
        }
    }

    /// Says why, in one line on standard error, and gives the status to exit with.
    static func report(_ error: any Error) -> Int32 {
        switch error {
        case let code as ExitCode: return code.value
        case let error as UserError:
            Output.error("cloister: \(error)\n")
            return error.exitCode
        default:
            Output.error("cloister: \(error)\n")
            return ExitCode.failure.value
        }
    }
}

/// `cloister` itself.
struct RootCommand: CommandGroup {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "cloister", abstract: "Runs containers, each in a virtual machine of its own with its own Linux kernel.",
            subcommands: [RunCommand.self])
    }
}

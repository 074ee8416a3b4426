import Glibc
import SandboxClient

/// `cloister`: everything its `main` does.
public enum CloisterCommandLine {
    /// - Parameter arguments: with the program's name first.
    /// - Returns: the exit status.
    public static func main(_ arguments: [String]) -> Int32 {
        openStandardStreams()
        // A reader that left is an error of the write, not the end of this process.
        signal(SIGPIPE, SIG_IGN)
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

    /// A standard stream that was closed (`>&-`) becomes /dev/null, before another file takes its number.
    private static func openStandardStreams() {
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) < 0 {
            _ = open("/dev/null", O_RDWR)
        }
    }

    /// Says why, in one line on standard error, and gives the status to exit with.
    static func report(_ error: any Error) -> Int32 {
        switch error {
        case let code as ExitCode: return code.value
        case let error as UserError:
            say(error.description)
            return error.exitCode
        case let error as RunError:
            say(error.description)
            return error.exitStatus
        default:
            say("\(error)")
            return ExitCode.failure.value
        }
    }

    private static func say(_ sentence: String) {
        var text = sentence
        while text.last?.isNewline == true { text.removeLast() }
        // Errors of the rooms below are sentences without their full stop; a log's last line is to stay as it is.
        if !text.contains("\n"), let last = text.last, !".!?".contains(last) { text += "." }
        Output.error("cloister: \(text)\n")
    }
}

/// `cloister` itself.
struct RootCommand: CommandGroup {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "cloister", abstract: "Runs containers, each in a virtual machine of its own with its own Linux kernel.",
            subcommands: [
                RunCommand.self, ImagePullCommand.self, ImagePushCommand.self, ImageListCommand<ImagesSpelling>.self,
                ImageRemoveCommand<RmiSpelling>.self, ImageCommand.self, SystemCommand.self, SearchCommand.self,
                LoginCommand.self, LogoutCommand.self, ContainerdCommand.self, DoctorCommand.self, VersionCommand.self,
            ])
    }
}

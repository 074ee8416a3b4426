import CAgent
import Glibc
import System

/// What the executable does, by its arguments.
public enum AgentMain {
    public static func run() {
        let arguments = CommandLine.arguments
        if arguments.count == 2, arguments[1] == InitStage.argument {
            InitStage.run()
        } else if arguments.count == 3, arguments[1] == "serve" {
            // For tests: an ordinary process in namespaces of its own, whose "host" is a directory of unix sockets.
            AgentProcess.serve(through: .unixSockets(directory: arguments[2]))
        } else if getpid() == 1 {
            Guest.run()
        } else {
            Log.error("this is the first process of a guest; there is nothing to run it for here")
            exit(2)
        }
    }
}

import CSystem
import Glibc
import Sandbox
import System
import TTRPC

/// The sandbox's own process: `containerd-shim-cloister-v2 serve --id ID --state DIR [--remove PATH]…`.
///
/// Whoever starts it hands over descriptors by number (`InheritedDescriptors`) and speaks the Task API on the socket.
public enum Shim {
    public static func main() -> Never {
        signal(SIGPIPE, SIG_IGN)
        // One heap for all threads, which are many and mostly wait: a heap each costs a megabyte.
        cs_use_one_heap()
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard arguments.first == "serve", let options = ServeOptions(Array(arguments.dropFirst())) else {
            fputs(
                "containerd-shim-cloister-v2 serves one sandbox and is started by `cloister run`; there is nothing to run by hand\n",
                cs_stderr())
            exit(125)
        }
        Guardian.start(options)
        serve(options)
    }

    /// The server's life, in the guardian's child. Ends when the client asks, goes away, or a signal asks.
    private static func serve(_ options: ServeOptions) -> Never {
        let service = SandboxService(options)
        let server = Server(service.handlers + TaskService(service).handlers, mapError: rpcError)

        Thread.start("lifeline") {
            // Nobody writes to it: it ends when the client does, however it dies.
            _ = try? FileDescriptor(InheritedDescriptors.lifeline).readToEnd(limit: 0)
            service.end()
        }
        Thread.start("signals") {
            var set = Guardian.endingSignals
            var number: Int32 = 0
            while sigwait(&set, &number) != 0 {}
            service.end()
        }
        server.serve(FileDescriptor(InheritedDescriptors.listener))
        service.end()
    }
}

/// What the starter of a sandbox's process puts where.
public enum InheritedDescriptors {
    /// A listening unix socket, at `task.sock` in the state directory.
    static let listener: Int32 = 3
    /// The read end of a pipe whose write end the client alone holds.
    static let lifeline: Int32 = 4
    /// Locked, and let go by the kernel when the last process of the sandbox is gone.
    static let lock: Int32 = 5
}

struct ServeOptions {
    var id = ""
    var stateDirectory = ""
    /// What goes with the sandbox beside the state directory.
    var remove: [String] = []

    /// A file in the state directory that says that what this sandbox made is finished, and `remove` no longer holds.
    private var keepMark: String { "\(stateDirectory)/keep" }

    func keepFiles() throws(SystemError) { try Files.write(keepMark, []) }

    /// Done by the server when it ends in order, and by the guardian in any case, before the state directory goes.
    func removeFiles() {
        if Files.exists(keepMark) { return }
        for path in remove { try? Files.removeTree(path) }
    }

    /// nil for anything but the agreed words.
    init?(_ arguments: [String]) {
        var rest = arguments[...]
        while let flag = rest.popFirst() {
            guard let value = rest.popFirst() else { return nil }
            switch flag {
            case "--id": id = value
            case "--state": stateDirectory = value
            case "--remove": remove.append(value)
            default: return nil
            }
        }
        if id.isEmpty || !stateDirectory.hasPrefix("/") { return nil }
    }
}

/// The one place where the engine's errors become the wire's.
private func rpcError(_ error: any Error) -> RPCError {
    guard let error = error as? SandboxError else { return RPCError(.unknown, "\(error)") }
    let code: RPCError.Code =
        switch error.kind {
        case .invalid: .invalidArgument
        case .notFound: .notFound
        case .alreadyExists: .alreadyExists
        case .wrongState: .failedPrecondition
        case .failed: .unknown
        }
    return RPCError(code, error.description)
}

import CSystem
import Glibc
import Sandbox
import System
import TTRPC

/// The program: what containerd runs for a moment (`ShimCommands`), and the sandbox's own process,
/// `containerd-shim-cloister-v2 serve --id ID --state DIR …` (`ServeOptions`).
///
/// Whoever starts the latter hands over descriptors by number (`InheritedDescriptors`) and speaks the Task API on the socket.
public enum Shim {
    public static func main() -> Never {
        signal(SIGPIPE, SIG_IGN)
        // Root's own may keep QEMU's user from what is made here, and libvirt makes, for it.
        umask(0o022)
        // One heap for all threads, which are many and mostly wait: a heap each costs a megabyte.
        cs_use_one_heap()
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard arguments.first == "serve" else { ShimCommands.run(arguments) }
        guard let options = ServeOptions(Array(arguments.dropFirst())) else {
            fputs(
                "containerd-shim-cloister-v2: serve is started by containerd or by `cloister run` alone\n", cs_stderr())
            exit(125)
        }
        serve(options, guardian: Guardian.start(options))
    }

    /// The server's life, in the guardian's child. Ends when the client asks, goes away, or a signal asks.
    private static func serve(_ options: ServeOptions, guardian: pid_t) -> Never {
        let log = options.containerd.map { ShimLog(bundle: $0.bundle) }
        let host = options.containerd.flatMap { _ in try? HostView(of: getpid()) }
        let listener = FileDescriptor(InheritedDescriptors.listener)
        let (pod, first) = enterNamespaces(options, listener)
        let service = SandboxService(options, guardian: guardian)
        let tasks = TaskService(service, log, pod: pod, host: host)
        let handlers = service.handlers + tasks.handlers + (pod.map { PodSandboxService($0, tasks).handlers } ?? [])
        let server = Server(
            handlers, patience: options.containerd == nil ? .zero : .seconds(1), mapError: rpcError)

        if options.containerd == nil {
            Thread.start("lifeline") {
                // Nobody writes to it: it ends when the client does, however it dies.
                _ = try? FileDescriptor(InheritedDescriptors.lifeline).readToEnd(limit: 0)
                service.end()
            }
        } else if first == nil {
            say(ServerReadiness.word)
        }
        if let first { Thread.start("ttrpc-server") { server.serve(first) } }
        Thread.start("signals") {
            var set = Guardian.endingSignals
            var number: Int32 = 0
            while sigwait(&set, &number) != 0 {}
            tasks.end()
        }
        if options.containerd?.sandbox.isEmpty == true, !ServerReadiness.waitUntilHeard() { service.end() }
        server.serve(listener)
        service.end()
    }

    /// Enters the pod's namespaces, for a sandbox of the Sandbox service once it is known which: with the call that says so,
    /// which is yet to be answered. While the process is single-threaded.
    private static func enterNamespaces(
        _ options: ServeOptions, _ listener: FileDescriptor
    ) -> (pod: PodSandbox?, first: FirstCall?) {
        guard let containerd = options.containerd else { return (nil, nil) }
        // Nobody's bundle is to be kept busy.
        chdir("/")
        func enter(_ network: PodSpec.Network, _ tell: (String) -> Void) {
            do { try ServerNamespaces.enter(network, stateDirectory: options.stateDirectory) } catch {
                tell("the sandbox's server cannot enter the pod's namespaces: \(error)")
                exit(125)
            }
        }
        guard !containerd.sandbox.isEmpty else {
            enter(containerd.network, say)
            return (nil, nil)
        }
        say(ServerReadiness.word)
        guard ServerReadiness.waitUntilHeard() else { exit(125) }
        guard let (pod, call) = PodSandbox.wait(on: listener) else { exit(125) }
        enter(pod.network) { call.refuse(RPCError(.unknown, $0)) }
        return (pod, call)
    }

    private static func say(_ text: String) {
        let start = FileDescriptor(InheritedDescriptors.lifeline)
        try? start.writeAll(Array(text.utf8))
        _ = shutdown(start.raw, Int32(SHUT_WR))
        // Its answer is yet to come.
        _ = start.release()
    }
}

/// The one place where the engine's errors become the wire's.
func rpcError(_ error: any Error) -> RPCError {
    if let error = error as? RPCError { return error }
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

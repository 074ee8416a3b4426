import CSystem
import Config
import ContainerdAPI
import Glibc
import Protobuf
import SandboxClient
import System

/// `start`: finds the server of the container's pod or starts one, and answers with its address.
///
/// containerd runs it in the bundle.
struct StartCommand {
    private let arguments: ShimArguments
    private let bundle: String
    /// How long a server that is ending, or one that starts, may take.
    private static let patience = Duration.seconds(30)

    init(_ arguments: ShimArguments) throws {
        self.arguments = arguments
        bundle = try Self.workingDirectory()
    }

    /// - Parameter answer: says to containerd what it reads from standard output.
    /// - Throws: `ShimError` and others, one sentence each; then nothing is left.
    func run(answer: (String) throws -> Void) throws {
        // A sandbox of containerd's Sandbox service has no container of its own, and so no specification.
        let pod = Files.exists("\(bundle)/config.json") ? try PodSpec(bundle: bundle) : nil
        // The runtime's options come with Create; where sandboxes are does not depend on them.
        let configuration = try Configuration.load()
        try StateDirectoryPath.prepare(configuration.stateDirectory)
        let group = pod?.group ?? arguments.id
        let directory = PodDirectory(
            base: configuration.stateDirectory, containerd: arguments.address, namespace: arguments.namespace,
            group: group)
        var server: FileDescriptor?
        if !joins(directory, group) {
            let network = try pod?.network() ?? .new
            server = try launch(directory, claim(directory), group: group, network, pod)
        }
        // Where containerd looks when it has been restarted.
        try Files.replace("\(bundle)/address", Array(directory.address.utf8))
        try answer(bootstrap(directory.address))
        // A server of whose start nobody hears ends.
        try server?.writeAll([ServerReadiness.heard])
    }

    /// Whether the pod's server runs already. A container that begins a pod never joins one: what is there under its name
    /// is about to end.
    private func joins(_ directory: PodDirectory, _ group: String) -> Bool {
        group != arguments.id && directory.isInUse && (try? UnixSocket.connect(directory.socket)) != nil
    }

    private func claim(_ directory: PodDirectory) throws -> FileDescriptor {
        let deadline = Clock.monotonic + Self.patience
        while true {
            if directory.isInUse, !directory.waitUntilUnused(timeout: max(.zero, deadline - Clock.monotonic)) {
                throw ShimError(
                    "the sandbox that \(arguments.id) had before has not ended within 30 s (its processes hold \(directory.lock)); "
                        + "end them")
            }
            do { return try StateDirectory.claim(directory.name, in: directory.base).lock } catch {
                // Somebody else was faster, and may be gone again.
                guard directory.isInUse, Clock.monotonic < deadline else { throw error }
            }
        }
    }

    /// - Returns: the server's `ServerReadiness`.
    private func launch(
        _ directory: PodDirectory, _ lock: FileDescriptor, group: String, _ network: PodSpec.Network,
        _ pod: PodSpec?
    ) throws -> FileDescriptor {
        do {
            let listener = try UnixSocket.listen(directory.socket)
            try syscall("chmod", directory.socket) { chmod(directory.socket, 0o600) }
            let (ready, theirs) = try makeSocketPair()
            let null = try FileDescriptor.open("/dev/null", O_RDWR)
            let log = try FileDescriptor.open("\(directory.path)/server.log", O_WRONLY | O_CREAT | O_APPEND)
            var options = ServeOptions(id: group, stateDirectory: directory.path)
            options.containerd = ContainerdOptions(
                namespace: arguments.namespace, events: Configuration.ownEnvironment("TTRPC_ADDRESS") ?? "",
                bundle: bundle, network: network,
                sandbox: pod == nil ? group : "")
            let process = try ChildProcess.spawn(
                try Installation.Part.server.locate(Configuration()), ["serve"] + options.arguments,
                descriptors: [null, log, log, listener, theirs, lock].map(\.raw), newSession: true)
            theirs.close()
            try Files.write(directory.guardian, "\(process.pid)")
            // Ends when the server serves, or with the reason why it does not, or when it dies.
            let failure = String(decoding: try ready.readToEnd(limit: 1 << 16), as: UTF8.self)
            guard failure == ServerReadiness.word else {
                _ = process.wait()
                throw ShimError(
                    failure.isEmpty ? "the sandbox's server ended at once; \(serverLog(directory))" : failure)
            }
            return ready
        } catch {
            // The guardian sees to its own files. Where it was killed, its server ends a moment later.
            lock.close()
            if directory.waitUntilUnused(timeout: Self.patience) { try? Files.removeTree(directory.path) }
            throw error
        }
    }

    private func serverLog(_ directory: PodDirectory) -> String {
        let text = (try? Files.readText("\(directory.path)/server.log", limit: 1 << 16)) ?? ""
        return text.isEmpty ? "was it killed?" : "it said: \(text)"
    }

    /// containerd 2 takes the parameters of a connection as JSON, and earlier ones an address. The third version has the Task
    /// service's third, and the Sandbox service.
    private func bootstrap(_ address: String) -> String {
        let highest = Configuration.ownEnvironment("MAX_SHIM_VERSION").flatMap { Int($0) } ?? 2
        return highest < 3 ? address : #"{"version":3,"address":"\#(address)","protocol":"ttrpc"}"#
    }

    private static func workingDirectory() throws(SystemError) -> String {
        guard let path = getcwd(nil, 0) else { throw SystemError("getcwd") }
        defer { free(path) }
        return String(cString: path)
    }
}

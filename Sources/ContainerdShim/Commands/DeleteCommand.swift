import CSystem
import Config
import ContainerdAPI
import Glibc
import Protobuf
import Sandbox
import System
import TTRPC

/// `delete`: ends whatever is left of a container whose server no longer answers containerd, and says how it ended.
struct DeleteCommand {
    private let arguments: ShimArguments
    private let bundle: String
    private static let patience = Duration.seconds(15)
    /// For a server that ends in order. containerd 1.6 gives this program five seconds.
    private static let grace = Duration.seconds(2)

    init(_ arguments: ShimArguments) {
        self.arguments = arguments
        bundle = arguments.bundle.isEmpty ? "." : arguments.bundle
    }

    /// - Throws: `ShimError` when processes of the sandbox outlive every attempt.
    func run() throws -> DeleteResponse {
        let spec = try? PodSpec(bundle: bundle)
        let group = spec?.group ?? arguments.id
        var isGone = true
        if let directory = directory(group) {
            if group == arguments.id { try end(directory) } else { isGone = !remove(from: directory) }
        }
        // Else its server has run them.
        if isGone, let spec = spec?.spec {
            try? ContainerHooks(spec, id: arguments.id, bundle: bundle, host: nil).run(.poststop, pid: nil)
        }
        var response = DeleteResponse()
        response.exitStatus = 128 + UInt32(SIGKILL)
        response.exitedAt = Timestamp(nanosecondsSinceEpoch: UInt64(Clock.realtime.nanoseconds))
        return response
    }

    private func directory(_ group: String) -> PodDirectory? {
        if let address = try? Files.readText("\(bundle)/address"), let known = PodDirectory(address: address) {
            return known
        }
        guard let base = try? Configuration.load().stateDirectory else { return nil }
        return PodDirectory(
            base: base, containerd: arguments.address, namespace: arguments.namespace, group: group)
    }

    /// Ends the sandbox. Its server is asked to end first, which it may be about already: containerd calls this after every
    /// `Shutdown`. It alone gives back what is others', such as the network namespace's interfaces. One that does not end
    /// is killed, and the guardian sees to the rest.
    private func end(_ directory: PodDirectory) throws(ShimError) {
        if directory.isInUse {
            signalServer(directory, SIGTERM)
            if !directory.waitUntilUnused(timeout: Self.grace) { signalServer(directory, SIGKILL) }
            guard directory.waitUntilUnused(timeout: Self.patience) else {
                throw ShimError(
                    "processes of the sandbox at \(directory.path) do not end; kill those that hold its lock")
            }
        }
        // The guardian has done it, unless it was killed as well.
        HostCgroup.removeRecorded(ServeOptions(id: arguments.id, stateDirectory: directory.path).cgroupRecord)
        try? Files.removeTree(directory.path)
    }

    /// The guardian's only child. Where the guardian is gone, its server has been asked to end by the kernel.
    private func signalServer(_ directory: PodDirectory, _ signal: Int32) {
        guard let text = try? Files.readText(directory.guardian), let guardian = pid_t(text), guardian > 1,
            isOurs(guardian, directory),
            let children = try? Files.readText("/proc/\(guardian)/task/\(guardian)/children")
        else { return }
        for child in children.split(separator: " ") {
            guard let pid = pid_t(child), isOurs(pid, directory) else { continue }
            kill(pid, signal)
        }
    }

    /// Numbers are given to others in time: it is asked whether the process serves this directory.
    private func isOurs(_ pid: pid_t, _ directory: PodDirectory) -> Bool {
        let words = (try? Files.read("/proc/\(pid)/cmdline"))?.split(separator: 0) ?? []
        return words.contains { $0.elementsEqual(directory.path.utf8) }
    }

    /// Takes one container out of a pod that goes on. A pod that is gone has taken it along.
    /// - Returns: whether there is such a pod.
    private func remove(from directory: PodDirectory) -> Bool {
        guard let socket = try? UnixSocket.connect(directory.socket) else { return false }
        let client = Client(socket)
        defer { client.close() }
        let task = TaskProcess(id: arguments.id)
        var kill = KillRequest()
        kill.id = arguments.id
        kill.signal = UInt32(SIGKILL)
        kill.all = true
        if (try? client.call(TaskAPI.kill, kill, timeout: Self.patience)) != nil {
            _ = try? client.call(TaskAPI.wait, task, timeout: Self.patience)
        }
        _ = try? client.call(TaskAPI.delete, task, timeout: Self.patience)
        return true
    }
}

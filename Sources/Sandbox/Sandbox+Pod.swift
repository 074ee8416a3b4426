import Glibc

/// Numbers on the host for the containers of a pod, whose processes have none there: by `/proc/NUMBER/ns/KIND` a later
/// container's specification names the namespaces that it shares.
///
/// The first container has this process's number. The others have one of its threads' each, the one that waits for the
/// container's init: its `/proc/NUMBER/ns` shows the same namespaces, and it is there for as long as the init is.
extension Sandbox {
    /// A number for a container's task and its processes.
    public func hostProcess(of process: ContainerProcess) -> UInt32 {
        let id = process.reference.containerID
        let container = state.withLock { $0.first == id ? nil : $0.containers[id] }
        return UInt32((try? container?.process("").waiter) ?? getpid())
    }

    /// For `ContainerSpec`: the container that has the namespace at a path; nil where this is no pod's sandbox.
    var joinable: ((_ path: String) -> String?)? {
        guard configuration.isPod else { return nil }
        let (first, containers) = state.withLock { ($0.first, $0.containers) }
        return { path in
            guard let number = NamespacePath.process(path) else { return nil }
            if number == getpid() { return first }
            return containers.first { _, container in
                guard let process = try? container.process("") else { return false }
                return process.waiter == number && !process.hasEnded
            }?.key
        }
    }
}

/// A path such as `/proc/42/ns/ipc`.
enum NamespacePath {
    private static let files: Set<Substring> = ["ipc", "net", "pid", "time", "uts"]

    /// The process's number; nil for anything but the path of a namespace that containers can share.
    static func process(_ path: String) -> pid_t? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[0].isEmpty, parts[1] == "proc", parts[3] == "ns", files.contains(parts[4])
        else { return nil }
        return pid_t(parts[2])
    }
}

import CSystem
import Glibc
import System

/// The mount, network and host name namespaces of another process, for what has to happen outside one's own.
struct HostView: Sendable {
    private let mount: FileDescriptor
    private let network: FileDescriptor
    private let name: FileDescriptor

    /// - Throws: `SystemError`, also where the process has gone.
    init(of pid: pid_t) throws(SystemError) {
        mount = try FileDescriptor.open("/proc/\(pid)/ns/mnt", O_RDONLY)
        network = try FileDescriptor.open("/proc/\(pid)/ns/net", O_RDONLY)
        name = try FileDescriptor.open("/proc/\(pid)/ns/uts", O_RDONLY)
    }

    /// Runs `body` on a thread of its own, in these namespaces, and waits for it. Children that it starts stay in them.
    /// - Throws: `SystemError` of entering or of `body`.
    func run<T: Sendable>(
        _ name: String, _ body: @escaping @Sendable () throws(SystemError) -> T
    ) throws(SystemError) -> T {
        let (mount, network, uts) = (mount, network, self.name)
        return try Thread.run(name) { () throws(SystemError) in
            try syscall("setns", "the host's namespaces") { cs_enter_namespaces(mount.raw, network.raw, uts.raw) }
            return try body()
        }
    }
}

import CSystem
import Glibc
import System

/// Takes every TCP connection that somebody in the pod's network namespace opens to an address of that namespace: to localhost,
/// as containerd's port forwarding does, or to the pod's own address. What is meant listens in the guest.
///
/// Connections from elsewhere never come here: they go to the guest by the interface's redirection. It is a BPF program of the
/// namespace's socket look-up, which needs no address translation and vanishes with this process.
public final class LocalConnections: Sendable {
    /// What the connection was opened to.
    public struct Destination: Sendable, Equatable {
        /// As inet_ntop(3) writes it.
        public let address: String
        public let port: UInt16
    }

    /// In the hands of handlers at once; more wait in the kernel's queue.
    private static let most = 64

    private let listener: FileDescriptor
    private let link: FileDescriptor
    private let active = Guarded(0)

    /// Listens in the calling thread's network namespace.
    /// - Parameter handler: called on a thread of its own for each connection, which is then the handler's.
    /// - Throws: `SystemError`; `EINVAL` or `EPERM` where the kernel (Linux 5.9) or a capability is missing.
    public init(_ handler: @escaping @Sendable (FileDescriptor, Destination) -> Void) throws(SystemError) {
        let listener = FileDescriptor(try syscall("listen", "in the pod's network namespace") { cs_listen_tcp() })
        let network = try FileDescriptor.open("/proc/thread-self/ns/net", O_RDONLY)
        link = FileDescriptor(
            try syscall("take local connections", "of the pod's network namespace") {
                cs_take_connections(listener.raw, network.raw)
            })
        self.listener = listener
        let active = active
        Thread.start("local-accept") { Self.accept(listener, active, handler) }
    }

    /// Connections that exist stay. Idempotent.
    public func stop() {
        link.close()
        // Wakes the thread that accepts, which lets go of the descriptor.
        _ = shutdown(listener.raw, Int32(SHUT_RDWR))
    }

    deinit { stop() }

    private static func accept(
        _ listener: FileDescriptor, _ active: Guarded<Int>,
        _ handler: @escaping @Sendable (FileDescriptor, Destination) -> Void
    ) {
        // INET6_ADDRSTRLEN.
        var address = [CChar](repeating: 0, count: 46)
        while true {
            var port: UInt16 = 0
            let connection: FileDescriptor
            do throws(SystemError) {
                let fd = listener.raw
                connection = FileDescriptor(try syscall("accept") { cs_accept_tcp(fd, &address, 46, &port) })
            } catch {
                // A peer that went away again, or want of descriptors, passes; a listener that was shut down does not.
                if error.errno == EINVAL || error.errno == EBADF { return }
                usleep(10_000)
                continue
            }
            let destination = Destination(address: String(buffer: address), port: port)
            _ = active.wait { count in
                guard count < most else { return nil as Bool? }
                count += 1
                return true
            }
            Thread.start("local") {
                handler(connection, destination)
                active.withLock { $0 -= 1 }
            }
        }
    }
}

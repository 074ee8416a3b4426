import CAgent
import Glibc
import System

/// The kernel's device events (netlink, `NETLINK_KOBJECT_UEVENT`): devices may be plugged in at any time, and nothing
/// here polls for them.
final class DeviceEvents: Sendable {
    private let socket: FileDescriptor
    private let generation = Guarded<UInt64>(0)

    init() throws(SystemError) {
        let fd = FileDescriptor(try syscall("socket", "NETLINK_KOBJECT_UEVENT") { ca_uevent_socket() })
        socket = fd
        Thread.start("uevents") { self.listen() }
    }

    /// Blocks until `find` returns something. It is asked at once and again after each device event.
    /// - Returns: nil when the time was up.
    func wait<T>(timeout: Duration?, until find: () -> T?) -> T? {
        generation.wait(timeout: timeout) { _ in find() }
    }

    private func listen() {
        var buffer = [UInt8](repeating: 0, count: 8192)
        while true {
            let count = recv(socket.raw, &buffer, buffer.count, 0)
            // ENOBUFS: events were lost, which is an event too.
            if count < 0, errno != EINTR, errno != ENOBUFS {
                Log.error("device events: \(SystemError("recv"))")
                return
            }
            generation.withLock { $0 &+= 1 }
        }
    }
}

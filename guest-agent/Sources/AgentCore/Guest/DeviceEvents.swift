import CAgent
import Glibc
import System

/// The kernel's device events (netlink, `NETLINK_KOBJECT_UEVENT`): devices may be plugged in at any time, and nothing
/// here polls for them. Nobody listens while nobody waits, so that the kernel does not even write them.
enum DeviceEvents {
    /// Blocks until `find` returns something. It is asked at once and again after each device event.
    /// - Returns: nil when the time was up.
    /// - Throws: `SystemError` when there are no events to be had.
    static func wait<T>(timeout: Duration?, until find: () -> T?) throws(SystemError) -> T? {
        if let found = find() { return found }
        let deadline = timeout.map { Clock.monotonic + $0 }
        let socket = FileDescriptor(try syscall("socket", "NETLINK_KOBJECT_UEVENT") { ca_uevent_socket() })
        while true {
            // What came before the socket had no event on it.
            if let found = find() { return found }
            guard try hasEvent(socket, before: deadline) else { return nil }
            var event = [UInt8](repeating: 0, count: 8192)
            // ENOBUFS: events were lost, which is an event too.
            if recv(socket.raw, &event, event.count, 0) < 0, errno != EINTR, errno != ENOBUFS {
                throw SystemError("recv", "device events")
            }
        }
    }

    private static func hasEvent(_ socket: FileDescriptor, before deadline: Duration?) throws(SystemError) -> Bool {
        var entry = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
        while true {
            let left = deadline.map { max(.zero, $0 - Clock.monotonic) }
            let milliseconds = left.map { Int32(clamping: ($0.nanoseconds + 999_999) / 1_000_000) } ?? -1
            switch poll(&entry, 1, milliseconds) {
            case 0: return false
            case 1...: return true
            default: if errno != EINTR { throw SystemError("poll", "device events") }
            }
        }
    }
}

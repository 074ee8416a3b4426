import CSystem
import Glibc
import System

/// Waits for the kernel to kill processes of a container for want of memory. It says so by a change of `memory.events`
/// (kernel `Documentation/admin-guide/cgroup-v2.rst`); nobody looks before.
final class OutOfMemory: Sendable {
    private let cgroup: Cgroup
    /// Readable from the container's end on: whoever waits leaves.
    private let ended: FileDescriptor

    init(_ cgroup: Cgroup) throws(SystemError) {
        self.cgroup = cgroup
        ended = FileDescriptor(try syscall("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
    }

    /// Blocks until the count is above `known`. - Returns: the count, or `known` when the container is gone.
    func wait(beyond known: UInt64) throws(SystemError) -> UInt64 {
        // A kernel without the controller kills nobody here.
        let events = try? FileDescriptor.open("\(cgroup.path)/memory.events", O_RDONLY)
        var buffer = [UInt8](repeating: 0, count: 1)
        while true {
            // Reading arms the notification; the count is read after it.
            if let events { _ = pread(events.raw, &buffer, 1, 0) }
            let kills = cgroup.outOfMemoryKills()
            if kills > known { return kills }
            var polled = [
                pollfd(fd: ended.raw, events: Int16(POLLIN), revents: 0),
                pollfd(fd: events?.raw ?? -1, events: Int16(POLLPRI), revents: 0),
            ]
            _ = try syscall("poll", "memory.events") { poll(&polled, 2, -1) }
            if polled[0].revents != 0 { return max(known, cgroup.outOfMemoryKills()) }
        }
    }

    /// May be called any number of times.
    func end() {
        var one: UInt64 = 1
        _ = write(ended.raw, &one, 8)
    }
}

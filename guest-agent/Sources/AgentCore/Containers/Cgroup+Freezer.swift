import CAgent
import Glibc
import System
import TTRPC

/// Stopping and going on (`cgroup.freeze`). Frozen processes can still be killed.
extension Cgroup {
    /// How long processes may take to stand: one in the middle of a disk's answer does not stop at once.
    private static let freezeTimeout = Duration.seconds(10)

    /// Blocks until every process stands. - Throws: `RPCError` when they do not in time; they go on then.
    func freeze() throws {
        try Files.write("\(path)/cgroup.freeze", "1")
        if try waitUntil(frozen: true) { return }
        try? thaw()
        throw RPCError(.deadlineExceeded, "not every process of the container stood still in time; none does now")
    }

    func thaw() throws {
        try Files.write("\(path)/cgroup.freeze", "0")
        _ = try waitUntil(frozen: false)
    }

    /// Whether the group has been told to stand, which what is born in it does at once.
    var isFrozen: Bool { read("cgroup.freeze") == "1" }

    private func waitUntil(frozen: Bool) throws(SystemError) -> Bool {
        let events = try FileDescriptor.open("\(path)/cgroup.events", O_RDONLY)
        let deadline = Clock.monotonic + Self.freezeTimeout
        var buffer = [UInt8](repeating: 0, count: 256)
        while true {
            // Reading arms the notification of the next change.
            let fd = events.raw
            let count = try syscall("read", "cgroup.events") { pread(fd, &buffer, buffer.count, 0) }
            let lines = String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n")
            if lines.contains(frozen ? "frozen 1" : "frozen 0") { return true }
            let left = deadline - Clock.monotonic
            guard left > .zero else { return false }
            var wait = pollfd(fd: fd, events: Int16(POLLPRI), revents: 0)
            poll(&wait, 1, Int32(clamping: left.nanoseconds / 1_000_000 + 1))
        }
    }
}

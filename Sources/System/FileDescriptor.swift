import CSystem
import Glibc

/// An open file descriptor that closes itself when its last owner lets go, and at most once.
///
/// Safe from any thread: the number never changes while the object lives; `close` is for the owner alone, when no other
/// thread uses the descriptor any more.
public final class FileDescriptor: Sendable {
    private let state: Guarded<Int32>

    /// Takes ownership of `raw`.
    public init(_ raw: Int32) { state = Guarded(raw) }

    /// The number, or -1 once closed.
    public var raw: Int32 { state.withLock { $0 } }

    public func close() {
        let fd = release()
        if fd >= 0 { _ = Glibc.close(fd) }
    }

    /// Gives the number up without closing it.
    public func release() -> Int32 {
        state.withLock { raw in
            defer { raw = -1 }
            return raw
        }
    }

    deinit { close() }

    /// Opens close-on-exec. - Throws: `SystemError`.
    public static func open(_ path: String, _ flags: Int32, mode: mode_t = 0o600) throws(SystemError) -> FileDescriptor
    {
        FileDescriptor(try syscall("open", path) { Glibc.open(path, flags | O_CLOEXEC, mode) })
    }

    public func duplicate() throws(SystemError) -> FileDescriptor {
        let fd = raw
        return FileDescriptor(try syscall("dup") { fcntl(fd, F_DUPFD_CLOEXEC, 3) })
    }

    /// Reads up to `buffer.count` bytes; 0 is the end.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
        let fd = raw
        return try syscall("read") { Glibc.read(fd, buffer.baseAddress, buffer.count) }
    }

    /// Reads exactly `count` bytes, or nil when the stream ends before the first.
    /// - Throws: `SystemError` with `EPIPE` when it ends in the middle.
    public func readExactly(_ count: Int) throws(SystemError) -> [UInt8]? {
        let fd = raw
        var bytes = [UInt8](repeating: 0, count: count)
        var have = 0
        while have < count {
            let n = try syscall("read") {
                bytes.withUnsafeMutableBytes { all in
                    let rest = UnsafeMutableRawBufferPointer(rebasing: all[have...])
                    return Glibc.read(fd, rest.baseAddress, rest.count)
                }
            }
            if n == 0 {
                if have == 0 { return nil }
                throw SystemError("read", "stream ended after \(have) of \(count) bytes", errno: EPIPE)
            }
            have += n
        }
        return bytes
    }

    /// Reads to the end, at most `limit` bytes. - Throws: `SystemError` with `EFBIG` beyond the limit.
    public func readToEnd(limit: Int) throws(SystemError) -> [UInt8] {
        var result: [UInt8] = []
        // Most files are small.
        var chunk = [UInt8](repeating: 0, count: 4096)
        let fd = raw
        while true {
            let n = try syscall("read") { Glibc.read(fd, &chunk, chunk.count) }
            if n == 0 { return result }
            if result.count + n > limit { throw SystemError("read", "more than \(limit) bytes", errno: EFBIG) }
            chunk.withUnsafeBytes { result.append(contentsOf: UnsafeRawBufferPointer(rebasing: $0[..<n])) }
            if n == chunk.count, n < 1 << 16 { chunk = [UInt8](repeating: 0, count: 2 * n) }
        }
    }

    public func writeAll(_ bytes: [UInt8]) throws(SystemError) {
        let fd = raw
        var done = 0
        while done < bytes.count {
            done += try syscall("write") {
                bytes.withUnsafeBytes { all in
                    let rest = UnsafeRawBufferPointer(rebasing: all[done...])
                    return Glibc.write(fd, rest.baseAddress, rest.count)
                }
            }
        }
    }

    public func setNonBlocking(_ on: Bool = true) throws(SystemError) {
        let fd = raw
        let flags = try syscall("fcntl") { fcntl(fd, F_GETFL) }
        try syscall("fcntl") { fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) }
    }
}

/// A pipe's two ends, both close-on-exec.
public func makePipe() throws(SystemError) -> (read: FileDescriptor, write: FileDescriptor) {
    var fds: [Int32] = [-1, -1]
    try syscall("pipe2") { cs_pipe(&fds) }
    return (FileDescriptor(fds[0]), FileDescriptor(fds[1]))
}

/// A connected pair of unix stream sockets, both close-on-exec.
public func makeSocketPair() throws(SystemError) -> (FileDescriptor, FileDescriptor) {
    var fds: [Int32] = [-1, -1]
    try syscall("socketpair") {
        socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &fds)
    }
    return (FileDescriptor(fds[0]), FileDescriptor(fds[1]))
}

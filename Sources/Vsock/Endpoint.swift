import CSystem
import CVsock
import Glibc
import System

/// One side of a host descriptor, read or written without ever blocking the device's thread and without touching flags
/// that other processes share.
final class Endpoint {
    enum Direction { case input, output }

    enum Outcome: Equatable {
        /// So many bytes moved; nothing read is the end.
        case moved(Int)
        case wouldBlock
        case failed(errno: Int32)
    }

    private enum Kind {
        /// Told per call not to block.
        case socket
        /// An open file description of our own, with O_NONBLOCK; or a file, for which there is no such thing.
        case descriptor
    }

    private let descriptor: FileDescriptor
    /// A FIFO that was opened for both reading and writing, so that it lives without anybody at its other end.
    private let original: FileDescriptor?
    /// The number; it does not change while the object lives.
    let raw: Int32
    /// Whether epoll can watch it. Files it cannot; they never make anybody wait for another process.
    let canBeWatched: Bool
    /// Whether a thread stands between this socket and the descriptor itself.
    let isPump: Bool
    private let kind: Kind
    /// Whether closing this side shuts the socket down for others who have it open.
    private let shutsDown: Bool
    let direction: Direction

    private init(
        _ descriptor: FileDescriptor, _ kind: Kind, _ direction: Direction, watched: Bool, pump: Bool = false,
        shutsDown: Bool = false, original: FileDescriptor? = nil
    ) {
        self.descriptor = descriptor
        self.original = original
        raw = descriptor.raw
        self.kind = kind
        self.direction = direction
        canBeWatched = watched
        isPump = pump
        self.shutsDown = shutsDown
    }

    /// The descriptor stays the caller's, to close when it likes: this holds a number of its own. (epoll, too, knows
    /// each number once, and both directions may be given the same one.)
    /// - Parameter shutsDown: whether a socket is shut down in this direction by `finish`.
    /// - Throws: `SystemError` when the descriptor is not open, or there are no descriptors left to serve it with.
    static func open(
        _ descriptor: FileDescriptor, _ direction: Direction, shutsDown: Bool = true
    ) throws(SystemError) -> Endpoint {
        let raw = descriptor.raw
        var info = stat()
        try syscall("fstat") { fstat(raw, &info) }
        switch info.st_mode & S_IFMT {
        case S_IFSOCK:
            return Endpoint(try descriptor.duplicate(), .socket, direction, watched: true, shutsDown: shutsDown)
        case S_IFREG, S_IFBLK:
            return Endpoint(try descriptor.duplicate(), .descriptor, direction, watched: false)
        case S_IFIFO, S_IFCHR:
            if info.st_mode & S_IFMT == S_IFCHR, cv_is_terminal_multiplexer(UInt64(info.st_rdev)) != 0 { break }
            let flags = (direction == .input ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_NOCTTY
            guard let own = try? FileDescriptor.open("/proc/self/fd/\(raw)", flags) else { break }
            let isBothWays = fcntl(raw, F_GETFL) & O_ACCMODE == O_RDWR
            let keep = info.st_mode & S_IFMT == S_IFIFO && isBothWays ? try descriptor.duplicate() : nil
            return Endpoint(own, .descriptor, direction, watched: canWatch(own), original: keep)
        default: break
        }
        let socket = try Pump.start(descriptor, direction)
        return Endpoint(socket, .socket, direction, watched: true, pump: true, shutsDown: true)
    }

    /// /dev/null and its like refuse to be watched, and need not be.
    private static func canWatch(_ descriptor: FileDescriptor) -> Bool {
        guard let made = try? syscall("epoll_create1", "", { epoll_create1(Int32(EPOLL_CLOEXEC)) }) else { return true }
        let probe = FileDescriptor(made)
        var event = epoll_event()
        return epoll_ctl(probe.raw, EPOLL_CTL_ADD, descriptor.raw, &event) == 0
    }

    func read(into vectors: UnsafeBufferPointer<iovec>) -> Outcome {
        transfer { [raw, kind] in
            kind == .socket
                ? Int(cv_receive(raw, vectors.baseAddress, Int32(vectors.count)))
                : readv(raw, vectors.baseAddress, Int32(vectors.count))
        }
    }

    func write(_ vectors: UnsafeBufferPointer<iovec>) -> Outcome {
        transfer { [raw, kind] in
            kind == .socket
                ? Int(cv_send(raw, vectors.baseAddress, Int32(vectors.count)))
                : writev(raw, vectors.baseAddress, Int32(vectors.count))
        }
    }

    @inline(__always)
    private func transfer(_ call: () -> Int) -> Outcome {
        while true {
            let count = call()
            if count >= 0 { return .moved(count) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            // A terminal whose other end hung up.
            case EIO where direction == .input: return .moved(0)
            case ECONNRESET where direction == .input: return .moved(0)
            case let code: return .failed(errno: code)
            }
        }
    }

    /// Tells a socket's other end that this direction is over. Closing is the owner's letting go.
    func finish() {
        guard kind == .socket, shutsDown else { return }
        _ = shutdown(raw, Int32(direction == .input ? SHUT_RD : SHUT_WR))
    }
}

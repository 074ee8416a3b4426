import CVsock
import Glibc
import System

/// A thread that carries bytes between a socket of the device's and a descriptor that cannot be used without blocking:
/// a pseudo-terminal's master side, a FIFO of another user's that may not be opened again.
enum Pump {
    /// As much as a pipe that polls writable takes without blocking (`PIPE_BUF`, pipe(7)).
    private static let pieceInBytes = 4096

    /// - Returns: the device's end of a socket pair. The thread ends when either side does.
    /// - Throws: `SystemError`.
    static func start(
        _ descriptor: FileDescriptor, _ direction: Endpoint.Direction
    ) throws(SystemError) -> FileDescriptor {
        // The caller may close its object, whose number then names something else.
        let own = try descriptor.duplicate()
        let (device, mine) = try makeSocketPair()
        switch direction {
        case .input: Thread.start("vsock-in") { run(from: own, to: mine, watched: mine) }
        case .output: Thread.start("vsock-out") { run(from: mine, to: own, watched: own) }
        }
        return device
    }

    /// - Parameter watched: the descriptor whose hang-up ends the thread while it waits for something to read.
    private static func run(from source: FileDescriptor, to target: FileDescriptor, watched: FileDescriptor) {
        cv_block_sigpipe()
        var buffer = [UInt8](repeating: 0, count: pieceInBytes)
        while wait(source.raw, Int16(POLLIN), else: watched.raw) {
            let count: Int
            do { count = try buffer.withUnsafeMutableBytes { bytes in try source.read(into: bytes) } } catch {
                // Another process made the shared description non-blocking, and somebody else took the bytes.
                if (error as? SystemError)?.errno == EAGAIN { continue }
                break
            }
            if count == 0 { break }
            if !writeAll(buffer, count, target.raw) { break }
        }
        // Both ends are closed by letting go of them: the device sees its socket hang up.
        withExtendedLifetime((source, target)) {}
    }

    private static func writeAll(_ buffer: [UInt8], _ count: Int, _ fd: Int32) -> Bool {
        var done = 0
        while done < count {
            guard wait(fd, Int16(POLLOUT), else: -1) else { return false }
            let n = buffer.withUnsafeBytes { Glibc.write(fd, $0.baseAddress.map { $0 + done }, count - done) }
            if n < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                return false
            }
            done += n
        }
        return true
    }

    /// Waits until `fd` reports something. - Returns: false when `other` hung up before.
    private static func wait(_ fd: Int32, _ events: Int16, else other: Int32) -> Bool {
        var polled = [pollfd(fd: fd, events: events, revents: 0), pollfd(fd: other, events: 0, revents: 0)]
        while true {
            let n = poll(&polled, 2, -1)
            if n < 0 {
                if errno == EINTR { continue }
                return false
            }
            if polled[0].revents != 0 { return true }
            if polled[1].revents != 0 { return false }
        }
    }
}

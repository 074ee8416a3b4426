import Glibc
import System

/// Errors of the server's own, for containerd's log: written to the FIFO `log` of the bundle, which containerd reads.
final class ShimLog: Sendable {
    private let fifo: FileDescriptor?

    init(bundle: String) {
        // For reading too, so that it works without containerd, and without waiting for it.
        fifo = try? FileDescriptor.open("\(bundle)/log", O_RDWR | O_NONBLOCK)
    }

    /// One line. Lost when nobody has read for long.
    func error(_ text: String) {
        let line = "cloister: " + text.split(separator: "\n").joined(separator: "; ") + "\n"
        try? fifo?.writeAll(Array(line.utf8))
    }
}

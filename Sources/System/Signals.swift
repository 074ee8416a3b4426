import CSystem
import Glibc

/// Signals taken from a descriptor instead of by handlers (signalfd(2)): blocked from the making on, so that none is lost
/// between two looks.
///
/// To be made before the process starts threads, which inherit the mask: a thread that does not block a signal would be
/// given it.
public final class SignalQueue: Sendable {
    /// Readable when a signal waits.
    public let descriptor: FileDescriptor

    /// Blocks `signals` for this thread and those it starts. - Throws: `SystemError`.
    public init(_ signals: [Int32]) throws(SystemError) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        let result = pthread_sigmask(SIG_BLOCK, &set, nil)
        guard result == 0 else { throw SystemError("pthread_sigmask", errno: result) }
        descriptor = FileDescriptor(try syscall("signalfd") { signalfd(-1, &set, Int32(SFD_CLOEXEC)) })
    }

    /// Blocks until a signal arrives. - Returns: its number.
    public func next() throws(SystemError) -> Int32 {
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        let fd = descriptor.raw
        let count = try syscall("read", "signalfd") { read(fd, &information, size) }
        guard count == size else { throw SystemError("read", "signalfd", errno: EIO) }
        return Int32(bitPattern: information.ssi_signo)
    }
}

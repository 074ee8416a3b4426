import Glibc
import System

/// What was written into a client's FIFO and has not been read yet.
///
/// A client of containerd's library before 1.6.22 and 1.7.3 closes its end of the FIFO as soon as it knows that the process
/// has ended, and loses what is still in there: the end of a container's log, as often as not its last error. So nobody is
/// told of an end before that has been read, as long as somebody reads.
enum UnreadOutput {
    /// For a reader that is slow.
    private static let longest = Duration.seconds(2)
    /// For one that may not be there: the FIFO may have been read by nobody for long.
    private static let standstill = Duration.milliseconds(200)
    private static let pauses = (first: Duration.microseconds(200), longest: Duration.milliseconds(10))

    /// Calls `done` once the output has been read, or is not being read: at once where the output is anything but a FIFO that
    /// is open both ways, which others' reading ends do not keep from breaking. Never blocks.
    static func whenTaken(_ output: FileDescriptor, _ done: @escaping @Sendable () -> Void) {
        guard count(in: output) > 0 else { return done() }
        Thread.start("output-taken") {
            waitUntilTaken(output)
            done()
        }
    }

    private static func waitUntilTaken(_ output: FileDescriptor) {
        let deadline = Clock.monotonic + longest
        var (left, changed) = (count(in: output), Clock.monotonic)
        var pause = pauses.first
        while left > 0, Clock.monotonic < min(deadline, changed + standstill) {
            // Nothing tells that a pipe has become empty.
            var time = pause.timespec
            nanosleep(&time, nil)
            pause = min(pause * 2, pauses.longest)
            let now = count(in: output)
            if now != left { (left, changed) = (now, Clock.monotonic) }
        }
    }

    /// In bytes; none for anything but such a FIFO.
    private static func count(in output: FileDescriptor) -> Int {
        var info = stat()
        var bytes: Int32 = 0
        guard fstat(output.raw, &info) == 0, info.st_mode & S_IFMT == S_IFIFO,
            fcntl(output.raw, F_GETFL) & O_ACCMODE == O_RDWR, ioctl(output.raw, UInt(FIONREAD), &bytes) == 0
        else { return 0 }
        return Int(bytes)
    }
}

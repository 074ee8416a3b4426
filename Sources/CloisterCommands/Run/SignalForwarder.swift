import CSystem
import Glibc
import System

/// Hands this command's signals to the container's program. Until there is one, a signal that asks to end ends the
/// command, and with it whatever it has begun.
///
/// To be made before any thread is started, see `SignalQueue`.
final class SignalForwarder: Sendable {
    /// What is passed on, as Docker's `--sig-proxy` does.
    static let forwarded = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2]

    /// Where signals go. Each closure is called from one thread, in the order the signals came.
    struct Target: Sendable {
        var signal: @Sendable (Int32) -> Void
        /// The terminal has another size.
        var resized: @Sendable () -> Void = {}
        /// The command is to be stopped (SIGTSTP), and has been continued.
        var suspend: @Sendable () -> Void = {}
        var resume: @Sendable () -> Void = {}
    }

    private let queue: SignalQueue
    private let target = Guarded<Target?>(nil)
    private let abandon: @Sendable (Int32) -> Void

    /// - Parameters:
    ///   - terminal: whether to watch for the signals of a terminal as well.
    ///   - abandon: called with a signal that came before there was a target and asks to end.
    init(terminal: Bool, abandon: @escaping @Sendable (Int32) -> Void) throws(SystemError) {
        queue = try SignalQueue(Self.forwarded + (terminal ? [SIGWINCH, SIGTSTP, SIGCONT] : []))
        self.abandon = abandon
    }

    /// Starts the thread that takes the signals.
    func start() {
        Thread.start("signals") { [self] in
            while let signal = try? queue.next() { deliver(signal) }
        }
    }

    /// From now on signals go there; nil is back to the beginning.
    func deliver(to target: Target?) { self.target.withLock { $0 = target } }

    func deliver(_ signal: Int32) {
        let target = target.withLock { $0 }
        switch signal {
        case SIGWINCH: target?.resized()
        case SIGTSTP:
            target?.suspend()
            // SIGSTOP cannot be blocked, and stops the process here.
            kill(getpid(), SIGSTOP)
        case SIGCONT: target?.resume()
        default:
            if let target {
                target.signal(signal)
            } else if signal != SIGUSR1 && signal != SIGUSR2 {
                abandon(signal)
            }
        }
    }
}

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

    private enum Destination {
        /// There is no program: what asks to end ends the command.
        case nowhere
        /// The program is being started, and may run before this command knows.
        case undecided
        case target(Target)
    }

    /// How long a start may keep signals waiting. After that they end the command, so that a guest that hangs cannot hold it.
    private static let longestStart = Duration.seconds(10)

    private let queue: SignalQueue
    private let destination = Guarded(Destination.nowhere)
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

    /// From now on signals wait for `deliver(to:)`: the program may be told to start, and one that has said that it is ready
    /// is to get the signal that follows.
    func hold() { destination.withLock { $0 = .undecided } }

    /// From now on signals go there, those that waited first.
    func deliver(to target: Target) { destination.withLock { $0 = .target(target) } }

    func deliver(_ signal: Int32) {
        let decided = destination.wait(timeout: Self.longestStart) { destination -> Destination? in
            if case .undecided = destination { return nil }
            return destination
        }
        var target: Target?
        if case .target(let known)? = decided { target = known }
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

import Glibc
import SandboxClient
import System

/// A running container in the foreground: signals, terminal and time limit, until it has ended.
final class RunSession: Sendable {
    private let container: RunningContainer
    private let screen: TerminalMode?
    private let timeout: Duration?
    private let image: String
    /// The container's, as a file of the host.
    private let disk: String
    private let state = Guarded(State())

    private struct State {
        var ended = false
        var timedOut = false
    }

    /// How long a killed container may take to be gone before its sandbox is ended.
    static let killGrace = Duration.seconds(5)

    init(container: RunningContainer, screen: TerminalMode?, timeout: Duration?, image: String, disk: String) {
        self.container = container
        self.screen = screen
        self.timeout = timeout
        self.image = image
        self.disk = disk
    }

    /// Blocks until the container has ended and nothing of its sandbox is left.
    /// - Returns: the status to exit with.
    func follow(_ signals: SignalForwarder, _ timings: inout TimingsReport) -> Result<Int32, any Error> {
        let started = Clock.monotonic
        signals.deliver(to: target)
        if let screen {
            do { try screen.makeRaw() } catch {
                container.end()
                return .failure(error)
            }
            resize()
        }
        startTimeLimit()
        let result = Result<Int32, any Error> { try container.wait() }
        state.withLock { $0.ended = true }
        TerminalMode.restore()
        let ended = Clock.monotonic
        for step in (try? container.status())?.steps ?? [] {
            timings.add(step.name, .nanoseconds(Int64(clamping: step.nanoseconds)))
        }
        timings.add("workload", ended - started)
        // While the disk is there: afterwards there is space again.
        Notices.fullDisk(disk)
        container.end()
        timings.add("teardown", Clock.monotonic - ended)
        if let timeout, state.withLock({ $0.timedOut }) {
            return .failure(
                UserError(
                    "\(image) ran longer than the timeout of \(timeout.spelled) and was stopped.",
                    exitCode: ExitCode.timedOut.value))
        }
        return result
    }

    private var target: SignalForwarder.Target {
        SignalForwarder.Target(
            signal: { self.container.signal($0) }, resized: { self.resize() },
            suspend: { TerminalMode.restore() },
            resume: {
                // Between the end of the container and that of this command the terminal is the shell's again.
                guard !self.state.withLock({ $0.ended }) else { return }
                try? self.screen?.makeRaw()
                self.resize()
            })
    }

    private func resize() {
        if let size = screen?.size { container.resize(rows: size.rows, columns: size.columns) }
    }

    private func startTimeLimit() {
        guard let timeout else { return }
        Thread.start("timeout") { [self] in
            func endsWithin(_ duration: Duration) -> Bool {
                state.wait(timeout: duration) { $0.ended ? true : nil } ?? false
            }
            if endsWithin(timeout) { return }
            state.withLock { $0.timedOut = !$0.ended }
            container.signal(SIGKILL)
            // A guest that does not answer is ended from outside.
            if !endsWithin(Self.killGrace) { container.end() }
        }
    }
}

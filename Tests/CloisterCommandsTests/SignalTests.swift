import CSystem
import Glibc
import System
import Testing

@testable import CloisterCommands

@Suite struct SignalTests {
    @Test func signalsWaitUntilTheyAreTaken() throws {
        // To this thread alone: the other threads of the tests do not block signals.
        let taken = Guarded<[Int32]?>(nil)
        Thread.start("signal-test") {
            var result: [Int32] = []
            if let queue = try? SignalQueue([SIGUSR1, SIGINT]) {
                pthread_kill(pthread_self(), SIGUSR1)
                if let signal = try? queue.next() { result.append(signal) }
                pthread_kill(pthread_self(), SIGINT)
                if let signal = try? queue.next() { result.append(signal) }
            }
            taken.withLock { $0 = result }
        }
        #expect(taken.wait(timeout: .seconds(30), until: { $0 }) == [SIGUSR1, SIGINT])
    }

    @Test func signalsGoToTheContainerOnceThereIsOne() throws {
        let abandoned = Guarded<[Int32]>([])
        let delivered = Guarded<[Int32]>([])
        let resized = Guarded(0)
        let made = Guarded<SignalForwarder?>(nil)
        // Blocks signals for its own thread alone.
        Thread.start("signal-test") {
            let forwarder = try? SignalForwarder(terminal: true) { signal in abandoned.withLock { $0.append(signal) } }
            made.withLock { $0 = forwarder }
        }
        let forwarder = try #require(made.wait(timeout: .seconds(30), until: { $0 }))
        for signal in [SIGUSR1, SIGWINCH, SIGINT, SIGTERM] { forwarder.deliver(signal) }
        #expect(abandoned.withLock { $0 } == [SIGINT, SIGTERM])
        forwarder.deliver(
            to: SignalForwarder.Target(
                signal: { signal in delivered.withLock { $0.append(signal) } },
                resized: { resized.withLock { $0 += 1 } }))
        for signal in SignalForwarder.forwarded + [SIGWINCH] { forwarder.deliver(signal) }
        #expect(delivered.withLock { $0 } == SignalForwarder.forwarded)
        #expect(resized.withLock { $0 } == 1)
        #expect(abandoned.withLock { $0 } == [SIGINT, SIGTERM])
    }

    @Test func signalsWaitForAStartThatIsUnderWay() throws {
        let abandoned = Guarded<[Int32]>([])
        let delivered = Guarded<[Int32]>([])
        let made = Guarded<SignalForwarder?>(nil)
        Thread.start("signal-test") {
            let forwarder = try? SignalForwarder(terminal: false) { signal in abandoned.withLock { $0.append(signal) } }
            made.withLock { $0 = forwarder }
        }
        let forwarder = try #require(made.wait(timeout: .seconds(30), until: { $0 }))
        forwarder.hold()
        let called = Guarded(false)
        Thread.start("signal-test") {
            called.withLock { $0 = true }
            for signal in [SIGHUP, SIGUSR1] { forwarder.deliver(signal) }
        }
        // Time enough for what does not wait to go wrong.
        _ = called.wait(until: { $0 ? true : nil })
        #expect(delivered.wait(timeout: .milliseconds(50)) { $0.isEmpty ? nil : true } == nil)
        forwarder.deliver(
            to: SignalForwarder.Target(signal: { signal in delivered.withLock { $0.append(signal) } }))
        #expect(delivered.wait(timeout: .seconds(30)) { $0.count == 2 ? $0 : nil } == [SIGHUP, SIGUSR1])
        #expect(abandoned.withLock { $0 }.isEmpty)
    }

    @Test func theTerminalComesBackAsItWas() throws {
        // What openpty(3) does (ioctl_tty(2): TIOCSPTLCK, TIOCGPTN), which Swift does not import.
        let main = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var zero: Int32 = 0
        var number: Int32 = -1
        let unlocked = ioctl(main, 0x4004_5431, &zero) == 0 && ioctl(main, 0x8004_5430, &number) == 0
        try #require(unlocked)
        let ends = (main, open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC))
        defer {
            close(ends.0)
            close(ends.1)
        }
        func flags() -> UInt32 {
            var settings = termios()
            tcgetattr(ends.1, &settings)
            return settings.c_lflag
        }
        let before = flags()
        #expect(before & UInt32(ICANON | ECHO) != 0)
        let mode = TerminalMode(descriptor: ends.1)
        try mode.makeRaw()
        #expect(flags() & UInt32(ICANON | ECHO | ISIG) == 0)
        // Made raw again, as after a suspension, what is kept is still the first.
        try mode.makeRaw()
        TerminalMode.restore()
        #expect(flags() == before)
        TerminalMode.restore()
        #expect(flags() == before)

        cs_set_window_size(ends.0, 30, 90)
        let size = try #require(mode.size)
        #expect(size.rows == 30 && size.columns == 90)
        #expect(throws: UserError.self) { try TerminalMode(descriptor: -1).makeRaw() }
    }
}

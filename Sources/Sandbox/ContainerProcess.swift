import AgentAPI
import Glibc
import System
import TTRPC

/// A process of a container: its init, or one added later. Created, started, stopped, in this order and once each; one that
/// is killed before its start, or whose guest dies, is stopped too.
public final class ContainerProcess: Sendable {
    public enum Status: Sendable {
        case created(pid: UInt32)
        case running(pid: UInt32)
        case stopped(pid: UInt32, Exit)
    }

    public struct Exit: Sendable {
        /// 0–255, or 128 + the signal; 255 where nobody knows, because the guest is gone.
        public let status: UInt32
        public let atInNanosecondsSinceEpoch: UInt64
        public let outOfMemory: Bool

        static func unknown() -> Exit {
            Exit(status: 255, atInNanosecondsSinceEpoch: UInt64(Clock.realtime.nanoseconds), outOfMemory: false)
        }
    }

    private struct State {
        var status: Status
        /// The guest has not answered yet whether the program runs.
        var isStarting = false
        /// The thread that waits for the process.
        var waiter: pid_t = 0
    }

    /// How long a reader that takes nothing keeps others from knowing of a process's end. The guest has waited as long for
    /// what this process has no room for.
    private static let patienceWithReaders = Duration.seconds(2)

    let reference: ProcessReference
    let guest: Sandbox.Guest
    private let ports: StdioPorts
    private let state: Guarded<State>

    init(_ reference: ProcessReference, _ guest: Sandbox.Guest, _ ports: StdioPorts, pid: UInt32) {
        self.reference = reference
        self.guest = guest
        self.ports = ports
        state = Guarded(State(status: .created(pid: pid)))
        // From the creation on: it may be killed, and the guest may die, before anybody starts it.
        Thread.start("wait-process") { self.awaitEnd(pid) }
    }

    public var status: Status { state.withLock { $0.status } }

    /// The number of the thread of this program's that waits for the process, for as long as it does.
    var waiter: pid_t { state.wait { $0.waiter != 0 ? $0.waiter : nil } ?? 0 }

    var hasEnded: Bool { if case .stopped = status { true } else { false } }

    public func start() throws {
        let pid = try state.withLock { state throws(SandboxError) in
            switch state.status {
            case .created(let pid) where !state.isStarting:
                state.isStarting = true
                return pid
            case .stopped: throw SandboxError(.wrongState, "the process has ended before it was started")
            case .created, .running: throw SandboxError(.wrongState, "the process has already been started")
            }
        }
        do { _ = try guest.call(Agent.startProcess, reference) } catch {
            settle(.stopped(pid: pid, .unknown()))
            throw error
        }
        settle(.running(pid: pid))
    }

    private func settle(_ status: Status) {
        state.withLock { state in
            state.status = status
            state.isStarting = false
        }
    }

    private func awaitEnd(_ pid: UInt32) {
        let own = Thread.number
        state.withLock { $0.waiter = own }
        let answer = try? guest.call(Agent.waitProcess, reference)
        let exit = answer.map { answer in
            Exit(
                status: answer.exitStatus, atInNanosecondsSinceEpoch: answer.exitedAtInNanoseconds,
                outOfMemory: answer.outOfMemory)
        }
        ports.waitUntilDrained(timeout: Self.patienceWithReaders)
        // A program may end before the answer to its start is read; then the start comes first.
        state.wait { state -> Void? in
            if state.isStarting { return nil }
            if case .stopped = state.status { return () }
            state.status = .stopped(pid: pid, exit ?? .unknown())
            return ()
        }
    }

    /// Blocks until the process has ended.
    public func wait() -> Exit {
        // Without a timeout the wait ends with a value alone.
        state.wait { if case .stopped(_, let exit) = $0.status { exit } else { nil } } ?? .unknown()
    }

    /// Blocks until all the process wrote has been handed to its outputs, or the time is up.
    public func waitUntilDrained(timeout: Duration? = nil) { ports.waitUntilDrained(timeout: timeout) }

    public func signal(_ number: UInt32, all: Bool = false) throws(RPCError) {
        var request = SignalProcessRequest()
        request.process = reference
        request.signal = number
        request.all = all
        _ = try guest.call(Agent.signalProcess, request)
    }

    public func resize(rows: UInt32, columns: UInt32) throws(RPCError) {
        var request = ResizeTerminalRequest()
        request.process = reference
        request.rows = rows
        request.columns = columns
        _ = try guest.call(Agent.resizeTerminal, request)
    }

    /// Kills the process if it lives and forgets it, in the guest and here.
    /// - Parameter waits: whether to return only when the guest has tidied up. Unmounting takes 60 ms under emulation, for
    ///   which a sandbox that ends now should not wait; what the guest has mounted of the host's is in use until then.
    ///   What is created with the same ids waits in any case. A guest that is gone has nothing left to tidy.
    func delete(waits: Bool = false) {
        ports.cancel()
        guest.removals.begin(reference)
        let remove: @Sendable () -> Void = { [guest, reference] in
            _ = try? guest.call(Agent.deleteProcess, reference)
            guest.removals.end(reference)
        }
        if waits { remove() } else { Thread.start("delete-process", remove) }
    }
}

/// What the guest has been told to remove and has not said that it has.
final class Removals: Sendable {
    private struct Key: Hashable {
        let container: String
        let process: String

        init(_ reference: ProcessReference) {
            container = reference.containerID
            process = reference.processID
        }
    }

    private let underWay = Guarded<Set<Key>>([])

    func begin(_ reference: ProcessReference) { underWay.withLock { _ = $0.insert(Key(reference)) } }

    func end(_ reference: ProcessReference) { underWay.withLock { _ = $0.remove(Key(reference)) } }

    /// Blocks while the process or container of these ids is being removed.
    func wait(for reference: ProcessReference) {
        let key = Key(reference)
        _ = underWay.wait { $0.contains(key) ? nil : true }
    }
}

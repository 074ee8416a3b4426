import AgentAPI
import Glibc
import OCISpec
import System
import TTRPC

/// A process of a container: its init, or one added later. Created, started, stopped, in this order and once each.
public final class ContainerProcess: Sendable {
    public enum Status: Sendable {
        case created(pid: UInt32)
        case running(pid: UInt32)
        case stopped(pid: UInt32, Exit)
    }

    public struct Exit: Sendable {
        /// 0–255, or 128 + the signal.
        public let status: UInt32
        public let atInNanosecondsSinceEpoch: UInt64
        public let outOfMemory: Bool
    }

    let reference: ProcessReference
    private let guest: Sandbox.Guest
    private let ports: StdioPorts
    private let current: Guarded<Status>

    init(_ reference: ProcessReference, _ guest: Sandbox.Guest, _ ports: StdioPorts, pid: UInt32) {
        self.reference = reference
        self.guest = guest
        self.ports = ports
        current = Guarded(.created(pid: pid))
    }

    public var status: Status { current.withLock { $0 } }

    public func start() throws {
        let pid = try current.withLock { status throws(SandboxError) in
            guard case .created(let pid) = status else {
                throw SandboxError(.wrongState, "the process has already been started")
            }
            status = .running(pid: pid)
            return pid
        }
        do { _ = try guest.client.call(Agent.startProcess, reference) } catch {
            end(
                pid,
                Exit(status: 255, atInNanosecondsSinceEpoch: UInt64(Clock.realtime.nanoseconds), outOfMemory: false))
            throw error
        }
        Thread.start("wait-process") {
            let answer = try? self.guest.client.call(Agent.waitProcess, self.reference)
            // No answer: the guest is gone and nobody will ever know the code.
            self.end(
                pid,
                Exit(
                    status: answer?.exitStatus ?? 255,
                    atInNanosecondsSinceEpoch: answer?.exitedAtInNanoseconds ?? UInt64(Clock.realtime.nanoseconds),
                    outOfMemory: answer?.outOfMemory ?? false))
        }
    }

    private func end(_ pid: UInt32, _ exit: Exit) { current.withLock { $0 = .stopped(pid: pid, exit) } }

    /// Blocks until the process has ended.
    public func wait() -> Exit {
        // Without a timeout the wait ends with a value alone.
        current.wait { if case .stopped(_, let exit) = $0 { exit } else { nil } }
            ?? Exit(status: 255, atInNanosecondsSinceEpoch: 0, outOfMemory: false)
    }

    /// Blocks until all the process wrote has been handed to its outputs.
    public func waitUntilDrained() { ports.waitUntilDrained() }

    public func signal(_ number: UInt32, all: Bool = false) throws(RPCError) {
        var request = SignalProcessRequest()
        request.process = reference
        request.signal = number
        request.all = all
        _ = try guest.client.call(Agent.signalProcess, request)
    }

    public func resize(rows: UInt32, columns: UInt32) throws(RPCError) {
        var request = ResizeTerminalRequest()
        request.process = reference
        request.rows = rows
        request.columns = columns
        _ = try guest.client.call(Agent.resizeTerminal, request)
    }

    /// The guest tidies up in its own time: nobody waits for its unmounting, 60 ms under emulation, least of all a sandbox
    /// that ends now. A guest that is gone has nothing left to tidy.
    func delete() {
        ports.cancel()
        Thread.start("delete-process") { [guest, reference] in
            _ = try? guest.client.call(Agent.deleteProcess, reference)
        }
    }
}

/// One workload of a sandbox: its init and whatever was added to it.
public final class Container: Sendable {
    public let id: String
    public let bundle: String
    public let stdio: Stdio
    let processes: Guarded<[String: ContainerProcess]>

    init(id: String, bundle: String, stdio: Stdio, initProcess: ContainerProcess) {
        self.id = id
        self.bundle = bundle
        self.stdio = stdio
        processes = Guarded(["": initProcess])
    }

    /// - Parameter id: empty for the container's init.
    public func process(_ id: String) throws(SandboxError) -> ContainerProcess {
        guard let process = processes.withLock({ $0[id] }) else {
            throw SandboxError(.notFound, "container \(self.id) has no process \(id.isEmpty ? "of its own" : id)")
        }
        return process
    }
}

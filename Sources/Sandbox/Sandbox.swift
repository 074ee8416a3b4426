import AgentAPI
import Glibc
import Hypervisor
import OCISpec
import Storage
import System
import TTRPC
import Vsock

/// One virtual machine and what serves it on the host. It boots once, holds containers, and stops once.
///
/// Safe from any thread: what changes is behind `state`; calls to the guest block their own thread.
public final class Sandbox: Sendable {
    enum Phase {
        case idle
        case booting
        case running(Guest)
        /// Why it ended by itself; nil when it was asked to.
        case stopped(failure: String?)
    }

    struct State {
        var phase = Phase.idle
        var containers: [String: Container] = [:]
        /// The pod's first container.
        var first: String?
        var machine: VirtualMachine?
        /// Whom QEMU runs as, where that is not who this process is.
        var user: MachineConfiguration.User?
        var device: VsockDevice?
        var accelerator: (Accelerator, reason: String)?
        /// Containers that are being made.
        var beingMade: Set<String> = []
        var share: ShareTree?
        var shareServer: ShareServer?
        /// What a container holds in the share.
        var shared: [String: [String]] = [:]
        var nextDisk = 0
    }

    /// What talks to a running guest.
    struct Guest: Sendable {
        let client: Client
        let device: VsockDevice
        let removals = Removals()
        /// Why it is gone; nil while it lives.
        let end = Guarded<String?>(nil)

        /// Calls the agent.
        /// - Throws: the agent's error. That the guest is gone is told only once the sandbox knows why: who hears from this
        ///   that a process ended asks the sandbox next.
        func call<Request, Response>(
            _ rpc: RPC<Request, Response>, _ request: Request, timeout: Duration? = nil
        ) throws(RPCError) -> Response {
            do { return try client.call(rpc, request, timeout: timeout) } catch {
                guard error.code == .unavailable, client.hasEnded, let reason = end.wait(until: { $0 }) else {
                    throw error
                }
                throw RPCError(.failedPrecondition, reason)
            }
        }
    }

    public let configuration: SandboxConfiguration
    public let timings = Timings()
    let state = Guarded(State())
    let devices: HostDevices
    let plugged = PluggedDisks()
    let network = Guarded(PodLink())

    public init(_ configuration: SandboxConfiguration) {
        self.configuration = configuration
        devices = HostDevices(configuration.deviceDirectory)
    }

    /// Why the sandbox ended by itself; nil while it lives or when it was asked to stop.
    public var failure: String? {
        state.withLock { if case .stopped(let failure) = $0.phase { failure } else { nil } }
    }

    /// What runs the guest, and why; nil before the start.
    public var accelerator: (Accelerator, reason: String)? { state.withLock { $0.accelerator } }

    private static let stoppedSentence = "the sandbox has stopped"

    func guest() throws(SandboxError) -> Guest {
        try state.withLock { state throws(SandboxError) in
            switch state.phase {
            case .running(let guest): return guest
            case .idle, .booting: throw SandboxError(.wrongState, "the sandbox has not started yet")
            case .stopped(let failure): throw SandboxError(.wrongState, failure ?? Self.stoppedSentence)
            }
        }
    }

    /// Ends the virtual machine and everything that served it. Idempotent; blocks until QEMU is gone.
    public func stop() { stop(failure: nil) }

    func stop(failure: String?) {
        let (machine, device, server) = state.withLock { state in
            if case .running(let guest) = state.phase { guest.end.withLock { $0 = failure ?? Self.stoppedSentence } }
            if case .stopped = state.phase {} else { state.phase = .stopped(failure: failure) }
            defer {
                state.machine = nil
                state.device = nil
                state.shareServer = nil
            }
            return (state.machine, state.device, state.shareServer)
        }
        releaseNetwork()
        machine?.destroy()
        device?.stop()
        server?.stop()
        devices.release()
    }
}

import AgentAPI
import OCISpec
import System
import TTRPC

/// One workload of a sandbox: its init and whatever was added to it.
public final class Container: Sendable {
    public let id: String
    public let bundle: String
    /// By process id; the init's is empty.
    let known: Guarded<[String: ContainerProcess]>
    private let guest: Sandbox.Guest

    init(id: String, bundle: String, initProcess: ContainerProcess) {
        self.id = id
        self.bundle = bundle
        guest = initProcess.guest
        known = Guarded(["": initProcess])
    }

    /// - Parameter id: empty for the container's init.
    public func process(_ id: String) throws(SandboxError) -> ContainerProcess {
        guard let process = known.withLock({ $0[id] }) else {
            throw SandboxError(.notFound, "container \(self.id) has no process \(id.isEmpty ? "of its own" : id)")
        }
        return process
    }

    /// Changes the limits that are given; the others stay. Device rules are not looked at.
    public func update(_ resources: RuntimeSpec.Resources) throws(RPCError) {
        var request = UpdateContainerRequest()
        request.containerID = id
        request.resources = Resources(pod: resources)
        _ = try guest.call(Agent.updateContainer, request)
    }

    /// Freezes every process; returns when they stand. Killing works while they do.
    public func pause() throws(RPCError) { _ = try guest.call(Agent.pauseContainer, ContainerReference(id)) }

    public func resume() throws(RPCError) { _ = try guest.call(Agent.resumeContainer, ContainerReference(id)) }

    /// Process numbers in the guest, of the init, of what was added and of all their descendants.
    public func processes() throws(RPCError) -> [UInt32] {
        try guest.call(Agent.containerProcesses, ContainerReference(id)).pids
    }

    public func stats() throws(RPCError) -> ContainerStats {
        try guest.call(Agent.containerStats, ContainerReference(id))
    }

    /// Runs `handler`, on a thread of its own, each time the guest's kernel has killed processes of the container for want
    /// of memory. Ends with the container or the guest.
    public func onOutOfMemory(_ handler: @escaping @Sendable () -> Void) {
        Thread.start("out-of-memory") { [guest, id] in
            var count = OutOfMemoryCount()
            count.containerID = id
            while let answer = try? guest.call(Agent.waitOutOfMemory, count), answer.kills > count.kills {
                count.kills = answer.kills
                handler()
            }
        }
    }
}

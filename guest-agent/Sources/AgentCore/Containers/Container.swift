import AgentAPI
import CAgent
import CSystem
import Glibc
import System
import TTRPC

/// A container: a root, a control group and processes.
final class Container: Sendable {
    let id: String
    let cgroup: Cgroup
    let outOfMemory: OutOfMemory
    /// For other containers to share.
    let namespaces: ContainerNamespaces
    private let filter: SeccompFilter?
    private let rootfs: RootfsMount
    /// Names in the share.
    private let shared: [String]
    private let agent: AgentProcess
    private let initProcess: GuestProcess
    /// By process id; nil while one is being made.
    private let others = Guarded<[String: GuestProcess?]>([:])

    /// Builds the root and the init process. What was built is taken down when a later step fails.
    init(_ request: CreateContainerRequest, agent: AgentProcess) throws {
        id = request.containerID
        self.agent = agent
        var request = request
        try agent.disks.number(&request.spec)
        let namespaces = try ContainerNamespaces(request.spec, of: agent)
        self.namespaces = namespaces
        filter = request.spec.seccomp
        shared = try agent.share.prepare(request)
        let rootfs = try RootfsMount(request.rootfs, containerID: id, disks: agent.disks)
        self.rootfs = rootfs
        var made: Cgroup?
        do {
            let cgroup = try Cgroup.create(containerID: id, request.spec.resources)
            made = cgroup
            var stage = StageRequest()
            stage.process = request.spec.process
            stage.container = request.spec
            // It goes beside, because processes that join later are filtered too.
            stage.container?.seccomp = nil
            stage.filter = filter
            stage.rootfs = rootfs.path
            stage.containerID = id
            stage.namespaces = namespaces.own
            stage.joinedKinds = namespaces.joinedByStage
            outOfMemory = try OutOfMemory(cgroup)
            var launch = Launch(
                name: "the init process of container \(id)", request: stage, io: request.io, cgroup: cgroup,
                cgroupDescriptor: try cgroup.open(), cloneFlags: namespaces.cloneFlags,
                pidNamespace: namespaces.joined["pid"],
                joined: namespaces.joinedByStage.compactMap { namespaces.joined[$0] })
            launch.onBirth = { namespaces.hold(pid: $0) }
            if !namespaces.own.contains("pid") {
                // With a PID namespace of its own the kernel does this.
                launch.onEnd = { try? cgroup.kill() }
            }
            initProcess = try GuestProcess(launch, agent: agent)
            self.cgroup = cgroup
        } catch {
            made?.remove()
            rootfs.unmount()
            agent.share.forget(shared)
            throw error
        }
    }

    /// The process of an id; the empty one is the init process. - Throws: `RPCError` `notFound`.
    func process(_ processID: String) throws(RPCError) -> GuestProcess {
        if processID.isEmpty { return initProcess }
        guard let process = others.withLock({ $0[processID] ?? nil }) else {
            throw RPCError(.notFound, "container \(id) has no process \"\(processID)\"")
        }
        return process
    }

    var initResponse: ProcessResponse { initProcess.response }

    /// - Throws: `RPCError` `failedPrecondition` when the init process has ended.
    func requireRunning() throws(RPCError) {
        guard initProcess.isAlive else { throw RPCError(.failedPrecondition, "container \(id) is not running") }
    }

    func createProcess(_ request: CreateProcessRequest) throws -> ProcessResponse {
        let processID = request.processID
        guard !processID.isEmpty else { throw RPCError(.invalidArgument, "a process needs an id") }
        try requireRunning()
        // What is born in a frozen group stands from its birth on.
        guard !cgroup.isFrozen else { throw RPCError(.failedPrecondition, "container \(id) is paused") }
        try others.withLock { others throws(RPCError) in
            guard others[processID] == nil else {
                throw RPCError(.alreadyExists, "container \(id) has a process \"\(processID)\" already")
            }
            others[processID] = .some(nil)
        }
        do {
            var stage = StageRequest()
            stage.process = request.process
            stage.filter = filter
            stage.rootfs = rootfs.path
            stage.containerID = id
            stage.namespaces = namespaces.all
            let launch = Launch(
                name: "process \(processID) of container \(id)", request: stage, io: request.io, cgroup: cgroup,
                cgroupDescriptor: try cgroup.open(),
                pidNamespace: namespaces.all.contains("pid") ? initProcess.pidfd : nil, joined: [initProcess.pidfd])
            let process = try GuestProcess(launch, agent: agent)
            others.withLock { $0[processID] = process }
            return process.response
        } catch {
            others.withLock { $0[processID] = nil }
            throw error
        }
    }

    func signalAll(_ number: Int32) throws {
        if number == SIGKILL { return try cgroup.kill() }
        for pid in try cgroup.processes() { kill(pid, number) }
    }

    /// Kills and forgets one process. - Throws: `RPCError` `notFound`.
    func deleteProcess(_ processID: String) throws {
        let process = try process(processID)
        // First, so that the id can be used again at once.
        others.withLock { $0[processID] = nil }
        process.destroy()
    }

    /// Kills every process and takes everything down; each step goes on when another failed.
    func destroy() {
        try? cgroup.kill()
        outOfMemory.end()
        initProcess.destroy()
        for process in others.withLock({ $0.values.compactMap { $0 } }) { process.destroy() }
        cgroup.remove()
        rootfs.unmount()
        agent.share.forget(shared)
    }
}

extension Container {
    static func isID(_ text: String) -> Bool {
        let letters = text.utf8
        guard let first = letters.first, letters.count <= 128 else { return false }
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        return isAlphanumeric(first)
            && letters.allSatisfy {
                isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
            }
    }
}

import AgentAPI
import CAgent
import CSystem
import Glibc
import System
import TTRPC

/// A container: a root, a control group and processes.
final class Container: Sendable {
    let id: String
    private let namespaces: [String]
    private let filter: SeccompFilter?
    private let rootfs: RootfsMount
    private let cgroup: Cgroup
    private let agent: AgentProcess
    private let initProcess: GuestProcess
    /// By process id; nil while one is being made.
    private let others = Guarded<[String: GuestProcess?]>([:])

    /// Builds the root and the init process. What was built is taken down when a later step fails.
    init(_ request: CreateContainerRequest, agent: AgentProcess) throws {
        id = request.containerID
        namespaces = request.spec.namespaces
        self.agent = agent
        var cloneFlags: UInt64 = 0
        for kind in namespaces {
            let flag = ca_namespace_flag(kind)
            guard flag != 0 else {
                throw RPCError(.invalidArgument, "there is no kind of namespace called \"\(kind)\"")
            }
            // The stage makes this one itself: made here it would be rooted in the agent's group.
            if kind != "cgroup" { cloneFlags |= flag }
        }
        let profile = request.spec.seccomp
        let compilation = Background("seccomp") { try profile.map { try SeccompFilter($0) } }
        let rootfs = try RootfsMount(request.rootfs, containerID: id, disks: agent.disks)
        self.rootfs = rootfs
        var made: Cgroup?
        do {
            let cgroup = try Cgroup.create(containerID: id, request.spec.resources)
            made = cgroup
            var stage = StageRequest()
            stage.process = request.spec.process
            stage.container = request.spec
            // Compiled, it goes beside, because processes that join later are filtered too.
            stage.container?.seccomp = nil
            stage.filter = try compilation.value()
            filter = stage.filter
            stage.rootfs = rootfs.path
            stage.containerID = id
            stage.namespaces = namespaces
            let launch = Launch(
                name: "the init process of container \(id)", request: stage, io: request.io, cgroup: cgroup,
                cgroupDescriptor: try cgroup.open(), cloneFlags: cloneFlags)
            initProcess = try GuestProcess(launch, agent: agent)
            self.cgroup = cgroup
        } catch {
            made?.remove()
            rootfs.unmount()
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

    func createProcess(_ request: CreateProcessRequest) throws -> ProcessResponse {
        let processID = request.processID
        guard !processID.isEmpty else { throw RPCError(.invalidArgument, "a process needs an id") }
        guard initProcess.isAlive else { throw RPCError(.failedPrecondition, "container \(id) is not running") }
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
            stage.namespaces = namespaces
            let launch = Launch(
                name: "process \(processID) of container \(id)", request: stage, io: request.io, cgroup: cgroup,
                cgroupDescriptor: try cgroup.open(), joined: initProcess.pidfd,
                entersPIDNamespace: namespaces.contains("pid"))
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
        process.destroy()
        others.withLock { $0[processID] = nil }
    }

    /// Kills every process and takes everything down; each step goes on when another failed.
    func destroy() {
        try? cgroup.kill()
        initProcess.destroy()
        for process in others.withLock({ $0.values.compactMap { $0 } }) { process.destroy() }
        cgroup.remove()
        rootfs.unmount()
    }
}

extension AgentProcess {
    func create(_ request: CreateContainerRequest) throws -> ProcessResponse {
        let id = request.containerID
        guard Container.isID(id) else {
            throw RPCError(
                .invalidArgument, "\"\(id)\" cannot be a container's id: letters, digits, '_', '.' and '-', at most 128"
            )
        }
        try containers.withLock { containers throws(RPCError) in
            guard containers[id] == nil else { throw RPCError(.alreadyExists, "container \(id) exists already") }
            containers[id] = .some(nil)
        }
        do {
            let container = try Container(request, agent: self)
            containers.withLock { $0[id] = container }
            return container.initResponse
        } catch {
            containers.withLock { $0[id] = nil }
            throw error
        }
    }

    func container(_ id: String) throws(RPCError) -> Container {
        guard let container = containers.withLock({ $0[id] ?? nil }) else {
            throw RPCError(.notFound, "there is no container \(id)")
        }
        return container
    }

    func process(_ reference: ProcessReference) throws -> GuestProcess {
        try container(reference.containerID).process(reference.processID)
    }

    func delete(_ reference: ProcessReference) throws {
        let container = try container(reference.containerID)
        if !reference.processID.isEmpty { return try container.deleteProcess(reference.processID) }
        container.destroy()
        containers.withLock { $0[reference.containerID] = nil }
    }

    /// Ends all containers and brings what they wrote to their disks.
    func stopEverything() {
        for container in containers.withLock({ $0.values.compactMap { $0 } }) { container.destroy() }
        sync()
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

import AgentAPI
import Glibc
import Hypervisor
import OCISpec
import System
import TTRPC

extension Sandbox {
    /// Starts the sandbox, if it has not started yet, and makes the container in it. A failure leaves nothing of the container
    /// behind, neither here nor in the guest.
    /// - Throws: `SandboxError` for what this sandbox cannot serve; the guest's `RPCError`.
    public func createContainer(
        id: String, bundle: String, spec: RuntimeSpec, root: ContainerRoot, stdio: Stdio
    ) throws -> Container {
        try state.withLock { state throws(SandboxError) in
            guard state.containers[id] == nil, state.beingMade.insert(id).inserted else {
                throw SandboxError(.alreadyExists, "container \(id) exists already")
            }
        }
        defer { _ = state.withLock { $0.beingMade.remove(id) } }
        var request = CreateContainerRequest()
        request.containerID = id
        request.spec = try ContainerSpec(spec, joinable: joinable)
        let filter = spec.linux?.seccomp.map { profile in Background("seccomp") { try SeccompFilter(profile) } }
        // Without a name of its own a container has its host's, and the guest has none.
        if request.spec.hostname.isEmpty, request.spec.namespaces.contains("uts") { request.spec.hostname = hostName() }
        // The guest's own network is the pod's.
        if configuration.hasNetwork { request.spec.namespaces.removeAll { $0 == "network" } }
        var disks: [Hypervisor.Disk] = []
        do {
            disks = try place(root, for: &request)
            if configuration.virtiofsd != nil { try place(spec.mounts, bundle: bundle, for: &request) }
            try bootIfNeeded(disks: disks, for: id)
            try plugDevices(for: &request, as: spec.linux?.resources?.devices ?? [])
            try configureNetwork()
            request.spec.seccomp = try filter?.value()
            let container = try create(request, bundle: bundle, stdio)
            state.withLock { state in
                // Whose namespaces the pod's others share: the first of those there are.
                if state.first.flatMap({ state.containers[$0] }) == nil { state.first = id }
                state.containers[id] = container
            }
            return container
        } catch {
            releaseShared(by: id)
            releaseDisks(by: id)
            for disk in disks where disk.isDevice { devices.forget(disk) }
            throw error
        }
    }

    private func create(
        _ request: CreateContainerRequest, bundle: String, _ stdio: Stdio
    ) throws -> Container {
        let guest = try guest()
        let reference = ProcessReference(containerID: request.containerID)
        guest.removals.wait(for: reference)
        let ports = StdioPorts(stdio, on: guest.device)
        var request = request
        request.io = ports.io
        let response = try timings.measure("disks and container") {
            do { return try guest.call(Agent.createContainer, request) } catch {
                ports.cancel()
                throw error
            }
        }
        let process = ContainerProcess(reference, guest, ports, pid: response.pid)
        return Container(id: request.containerID, bundle: bundle, initProcess: process)
    }

    /// The first container's creation starts the machine, with its disks; others wait for that, and have theirs plugged in.
    private func bootIfNeeded(disks: [Hypervisor.Disk], for container: String) throws {
        let isFirst = state.wait { state -> Bool? in
            switch state.phase {
            case .idle:
                state.phase = .booting
                return true
            case .booting: return nil
            case .running, .stopped: return false
            }
        }
        guard isFirst == false else { return try bootClaimed(disks: disks) }
        for disk in disks { try plug(disk, for: container) }
    }

    public func container(_ id: String) throws(SandboxError) -> Container {
        guard let container = state.withLock({ $0.containers[id] }) else {
            throw SandboxError(.notFound, "there is no container \(id) in this sandbox")
        }
        return container
    }

    /// Adds a process to a running container.
    public func createProcess(
        in container: Container, id: String, process: RuntimeSpec.Process, stdio: Stdio
    ) throws {
        guard container.known.withLock({ $0[id] }) == nil else {
            throw SandboxError(.alreadyExists, "container \(container.id) already has a process \(id)")
        }
        let guest = try guest()
        guest.removals.wait(for: ProcessReference(containerID: container.id, processID: id))
        let ports = StdioPorts(stdio, on: guest.device)
        var request = CreateProcessRequest()
        request.containerID = container.id
        request.processID = id
        request.process = ProcessSpec(process, user: "")
        request.io = ports.io
        let response: ProcessResponse
        do { response = try guest.call(Agent.createProcess, request) } catch {
            ports.cancel()
            throw error
        }
        let reference = ProcessReference(containerID: container.id, processID: id)
        container.known.withLock { $0[id] = ContainerProcess(reference, guest, ports, pid: response.pid) }
    }

    /// After what an end was not told for (`ContainerProcess`).
    private static let patienceWithReaders = Duration.seconds(3)

    /// Forgets a process, and with its init the container. Whatever it wrote has been handed on before this
    /// returns, unless in a pod nobody takes it.
    public func delete(_ container: Container, process id: String) throws {
        let process = try container.process(id)
        if case .running = process.status {
            throw SandboxError(.wrongState, "the process is running; end it before deleting it")
        }
        if case .stopped = process.status {
            // containerd's clients read to the end before they ask for this; one that has gone reads no more.
            process.waitUntilDrained(timeout: configuration.isPod ? Self.patienceWithReaders : nil)
        }
        // The host's mounts are in use until the guest has taken off its own.
        let isInUse = id.isEmpty && (state.withLock { $0.shared[container.id] != nil } || plugged.has(container.id))
        process.delete(waits: isInUse)
        _ = container.known.withLock { $0.removeValue(forKey: id) }
        guard id.isEmpty else { return }
        releaseShared(by: container.id)
        releaseDisks(by: container.id)
        _ = state.withLock { $0.containers.removeValue(forKey: container.id) }
    }
}

/// Without the dot that a pod's server may have put after it.
private func hostName() -> String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "" }
    let text = String(buffer: name)
    return text.hasSuffix(".") ? String(text.dropLast()) : text
}

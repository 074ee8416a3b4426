import AgentAPI
import Hypervisor
import OCISpec
import System
import TTRPC

/// A filesystem image on the host that becomes part of a container's root.
public struct RootfsImage: Sendable {
    public var path: String
    /// As mount(2) names it, e.g. `ext4`.
    public var filesystem: String
    public var readOnly: Bool

    public init(path: String, filesystem: String, readOnly: Bool) {
        self.path = path
        self.filesystem = filesystem
        self.readOnly = readOnly
    }
}

extension Sandbox {
    /// Starts the sandbox, if it has not started yet, with what this container needs, and makes the container in it.
    /// - Parameter rootfs: layers from the lowest up, then at most one writable image.
    public func createContainer(
        id: String, bundle: String, spec: RuntimeSpec, rootfs: [RootfsImage], stdio: Stdio
    ) throws -> Container {
        let disks = rootfs.enumerated().map { index, image in
            Hypervisor.Disk(path: image.path, readOnly: image.readOnly, serial: "disk-\(index)")
        }
        var request = CreateContainerRequest()
        request.containerID = id
        request.spec = try ContainerSpec(spec)
        // The guest's own network is the pod's.
        if configuration.hasNetwork { request.spec.namespaces.removeAll { $0 == "network" } }
        for (image, disk) in zip(rootfs, disks) {
            var part = AgentAPI.Disk()
            part.serial = disk.serial
            part.filesystem = image.filesystem
            if image.readOnly {
                request.rootfs.layers.append(part)
            } else if request.rootfs.writable == nil {
                request.rootfs.writable = part
            } else {
                throw SandboxError(.invalid, "a container's root takes one writable image, and two were given")
            }
        }
        guard !request.rootfs.layers.isEmpty else { throw SandboxError(.invalid, "the container's root has no layers") }

        try boot(disks: disks)
        try configureNetwork()
        let guest = try guest()
        guest.removals.wait(for: ProcessReference(containerID: id))
        let ports = StdioPorts(stdio, on: guest.device)
        request.io = ports.io
        let response = try timings.measure("disks and container") {
            do { return try guest.client.call(Agent.createContainer, request) } catch {
                ports.cancel()
                throw error
            }
        }
        let process = ContainerProcess(ProcessReference(containerID: id), guest, ports, pid: response.pid)
        let container = Container(id: id, bundle: bundle, initProcess: process)
        state.withLock { $0.containers[id] = container }
        return container
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
        do { response = try guest.client.call(Agent.createProcess, request) } catch {
            ports.cancel()
            throw error
        }
        let reference = ProcessReference(containerID: container.id, processID: id)
        container.known.withLock { $0[id] = ContainerProcess(reference, guest, ports, pid: response.pid) }
    }

    /// Forgets a process, and with its init the container. Whatever it wrote has been handed on before this returns.
    public func delete(_ container: Container, process id: String) throws {
        let process = try container.process(id)
        if case .running = process.status {
            throw SandboxError(.wrongState, "the process is running; end it before deleting it")
        }
        if case .stopped = process.status { process.waitUntilDrained() }
        process.delete()
        _ = container.known.withLock { $0.removeValue(forKey: id) }
        if id.isEmpty { _ = state.withLock { $0.containers.removeValue(forKey: container.id) } }
    }
}

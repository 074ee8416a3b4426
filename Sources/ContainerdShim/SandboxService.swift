import ContainerdAPI
import Glibc
import Hypervisor
import Protobuf
import Sandbox
import System
import TTRPC

/// Holds the one sandbox of this process and answers what is asked of the sandbox as a whole.
final class SandboxService: Sendable {
    let options: ServeOptions
    private let current = Guarded<Sandbox?>(nil)
    private let isEnding = Guarded(false)
    private let guardian: pid_t

    init(_ options: ServeOptions, guardian: pid_t) {
        self.options = options
        self.guardian = guardian
    }

    var handlers: [Handler] {
        [
            .on(SandboxAPI.status) { [self] _ in try status() },
            .on(SandboxAPI.unpack) { [self] request in try unpack(request) },
        ]
    }

    /// Makes the sandbox, which the first call that needs one does.
    func create(_ options: SandboxOptions) throws -> Sandbox {
        guard let accelerator = AcceleratorChoice(rawValue: options.accelerator.isEmpty ? "auto" : options.accelerator)
        else {
            throw SandboxError(.invalid, "\"\(options.accelerator)\" is not an accelerator; use auto, kvm or emulation")
        }
        var configuration = SandboxConfiguration(
            id: self.options.id, stateDirectory: self.options.stateDirectory, kernel: options.kernel,
            initramfs: options.initramfs, memoryInBytes: options.memoryInBytes, vcpus: max(1, Int(options.vcpus)),
            bootTimeout: .milliseconds(Int64(clamping: options.bootTimeoutInMilliseconds)),
            capabilityCache: options.capabilityCache)
        configuration.accelerator = accelerator
        let sandbox = Sandbox(configuration)
        return try current.withLock { current throws(SandboxError) in
            guard current == nil else { throw SandboxError(.wrongState, "this process already serves a sandbox") }
            current = sandbox
            return sandbox
        }
    }

    /// The pod's sandbox, made by the first call. One that ended by itself is never replaced under its containers.
    /// - Parameter configure: for a sandbox that is yet to be made.
    func podSandbox(_ configure: () throws -> SandboxConfiguration) throws -> Sandbox {
        try current.withLock { current in
            if let current { return current }
            let sandbox = Sandbox(try configure())
            current = sandbox
            return sandbox
        }
    }

    /// Forgets a sandbox that never held a container and ended, so that the next container can try again.
    func discard(_ sandbox: Sandbox) {
        current.withLock { current in
            if current === sandbox, sandbox.failure != nil { current = nil }
        }
    }

    func sandbox() throws(SandboxError) -> Sandbox {
        guard let sandbox = current.withLock({ $0 }) else {
            throw SandboxError(.notFound, "no container has been created in this sandbox")
        }
        return sandbox
    }

    /// Ends the sandbox and this process. The guardian sees to what is left. The second who calls waits for the first.
    func end() -> Never {
        let isFirst = isEnding.withLock { isEnding in
            defer { isEnding = true }
            return !isEnding
        }
        while !isFirst { pause() }
        // Nobody is to find a server that is about to go.
        unlink("\(options.stateDirectory)/task.sock")
        current.withLock { $0 }?.stop()
        options.removeFiles()
        // The guardian was killed, and containerd may know nothing of a sandbox that has had no container yet. For one that
        // has, it calls `delete`, which removes the cgroups that this process is in as well.
        if options.containerd != nil, getppid() != guardian, !Files.exists(options.cgroupRecord) {
            ServerNamespaces.removeStateDirectory(options.stateDirectory)
        }
        _exit(0)
    }

    private func status() throws -> SandboxStatus {
        var status = SandboxStatus()
        guard let sandbox = current.withLock({ $0 }) else { return status }
        status.steps = sandbox.timings.steps.map { step in
            var result = SandboxStatus.Step()
            result.name = step.name
            result.nanoseconds = UInt64(clamping: step.duration.nanoseconds)
            return result
        }
        status.failure = sandbox.failure ?? ""
        if let (accelerator, reason) = sandbox.accelerator {
            status.accelerator = accelerator.rawValue
            status.acceleratorReason = reason
        }
        return status
    }

    private func unpack(_ request: UnpackRequest) throws -> UnpackResponse {
        let layers = request.layers.map {
            LayerToUnpack(
                blobPath: $0.blobPath, blobSizeInBytes: $0.blobSizeInBytes, diskPath: $0.diskPath,
                disksBelow: $0.disksBelow)
        }
        var response = UnpackResponse()
        response.layers = try create(request.options).unpack(layers).map { unpacked in
            var layer = UnpackResponse.Layer()
            layer.diffID = unpacked.diffID
            layer.entries = unpacked.entries
            layer.contentInBytes = unpacked.contentInBytes
            layer.impliedDirectories = unpacked.impliedDirectories
            return layer
        }
        try self.options.keepFiles()
        return response
    }
}

import ContainerdAPI
import Glibc
import Protobuf
import Sandbox
import System
import TTRPC

/// containerd's Sandbox service. The virtual machine is started by the pod's first container, whose disks it may need.
final class PodSandboxService: Sendable {
    private let pod: PodSandbox
    private let tasks: TaskService

    init(_ pod: PodSandbox, _ tasks: TaskService) {
        self.pod = pod
        self.tasks = tasks
    }

    var handlers: [Handler] {
        [
            // The call that this process has waited for; there is one.
            .on(PodSandboxAPI.create) { _ in Empty() },
            .on(PodSandboxAPI.start) { _ in try self.start() },
            .on(PodSandboxAPI.platform) { _ in Self.platform },
            .on(PodSandboxAPI.stop) { _ in self.stop() },
            .on(PodSandboxAPI.wait) { _ in self.wait() },
            .on(PodSandboxAPI.status) { _ in self.status() },
            .on(PodSandboxAPI.ping) { _ in Empty() },
            .on(PodSandboxAPI.shutdown, then: { _ in self.tasks.end() }) { _ in Empty() },
        ]
    }

    private func start() throws -> StartSandboxResponse {
        try pod.start()
        var response = StartSandboxResponse()
        response.pid = UInt32(getpid())
        response.createdAt = pod.createdAt
        return response
    }

    private func stop() -> Empty {
        // There is none before the first container.
        (try? tasks.service.sandbox())?.stop()
        pod.stopped(0)
        return Empty()
    }

    private func wait() -> WaitResponse {
        let end = pod.wait()
        var response = WaitResponse()
        response.exitStatus = end.status
        response.exitedAt = end.at
        return response
    }

    private func status() -> SandboxStatusResponse {
        var response = SandboxStatusResponse()
        response.sandboxID = pod.id
        response.pid = UInt32(getpid())
        response.state = pod.isReady ? "SANDBOX_READY" : "SANDBOX_NOTREADY"
        response.createdAt = pod.createdAt
        response.exitedAt = pod.end?.at
        if let failure = (try? tasks.service.sandbox())?.failure { response.info["failure"] = failure }
        return response
    }

    /// Of the guest, which is of the host's kind.
    private static var platform: PlatformResponse {
        var response = PlatformResponse()
        response.platform = PlatformResponse.Platform()
        response.platform?.os = "linux"
        #if arch(arm64)
        response.platform?.architecture = "arm64"
        #else
        response.platform?.architecture = "amd64"
        #endif
        return response
    }
}

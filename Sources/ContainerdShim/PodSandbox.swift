import Config
import ContainerdAPI
import Glibc
import OCISpec
import Protobuf
import Sandbox
import System
import TTRPC

/// A pod of containerd's Sandbox service: it is there before its containers, and none of them stands for it.
final class PodSandbox: Sendable {
    struct End: Sendable {
        let status: UInt32
        let at: Timestamp
    }

    private struct State {
        var isStarted = false
        var isWatched = false
        var end: End?
    }

    let id: String
    let network: PodSpec.Network
    let createdAt = Timestamp.now
    private let annotations: [String: String]
    private let sysctls: [String: String]
    private let hostname: String
    private let state = Guarded(State())

    /// - Throws: `SandboxError` for the host's network.
    init(_ request: CreateSandboxRequest) throws(SandboxError) {
        id = request.sandboxID
        var configuration = PodSandboxConfig()
        if let any = request.options, any.typeURL.hasSuffix(PodSandboxConfig.typeURL) {
            do { configuration = try PodSandboxConfig(decoding: any.value) } catch {
                throw SandboxError(.invalid, "the pod's configuration cannot be read: \(error)")
            }
        }
        let linux = configuration.linux
        if !request.networkNamespacePath.isEmpty {
            network = .namespace(path: request.networkNamespacePath)
        } else if linux?.securityContext?.namespaces?.network == PodSandboxConfig.Namespaces.node {
            throw SandboxError(.invalid, PodSpec.hostNetworkRefusal)
        } else {
            network = .new
        }
        sysctls = linux?.sysctls ?? [:]
        hostname = configuration.hostname
        // Of the pod's own words, only those are looked at that the configuration can allow: the others that mean something to
        // a sandbox are containerd's and CRI-O's to write.
        annotations = configuration.annotations.merging(request.annotations) { $1 }
            .filter { $0.key.hasPrefix(PodAnnotations.prefix) }
            .merging(Self.limits(linux?.resources)) { $1 }
    }

    /// As containerd writes a pod's limits into the specification of a container that stands for it.
    private static func limits(_ resources: PodSandboxConfig.Resources?) -> [String: String] {
        guard let resources else { return [PodLimits.CRI.containerType: "sandbox"] }
        return [
            PodLimits.CRI.memory: "\(resources.memoryLimitInBytes)",
            PodLimits.CRI.quota: "\(resources.cpuQuota)",
            PodLimits.CRI.period: "\(resources.cpuPeriod)",
            PodLimits.CRI.shares: "\(resources.cpuShares)",
        ]
    }

    /// Waits for `CreateSandbox` while the process is single-threaded.
    /// - Returns: the pod, and the call, which is yet to be answered; nil when it cannot be met, which it has been told.
    static func wait(on listener: FileDescriptor) -> (pod: PodSandbox, call: FirstCall)? {
        // No thread waits for these yet.
        var set = Guardian.endingSignals
        sigprocmask(SIG_UNBLOCK, &set, nil)
        defer { sigprocmask(SIG_BLOCK, &set, nil) }
        let first = try? FirstCall.wait(for: PodSandboxAPI.create, on: listener) { service, method in
            // A sandbox that was given up before it was made.
            if method == TaskAPI.shutdown.method || method == PodSandboxAPI.shutdown.method { _exit(0) }
            return RPCError(.failedPrecondition, "\(method): the sandbox has not been created yet")
        }
        guard let (call, request) = first else { return nil }
        do { return (try PodSandbox(request), call) } catch {
            call.refuse(rpcError(error))
            return nil
        }
    }

    /// Gives a container's specification what the pod's has, and the first of the pod namespaces to share: others name
    /// those of the sandbox, which has none before.
    func complete(_ spec: inout RuntimeSpec, isFirst: Bool) {
        spec.annotations.merge(annotations) { $1 }
        spec.linux?.sysctl.merge(sysctls) { own, _ in own }
        guard isFirst, let namespaces = spec.linux?.namespaces else { return }
        if !hostname.isEmpty { spec.hostname = spec.hostname ?? hostname }
        spec.linux?.namespaces = namespaces.map { namespace in
            namespace.path?.hasPrefix("/proc/\(getpid())/ns/") == true
                ? RuntimeSpec.Namespace(type: namespace.type) : namespace
        }
    }

    func start() throws(SandboxError) {
        try state.withLock { state throws(SandboxError) in
            guard state.end == nil else { throw SandboxError(.wrongState, "the sandbox has stopped") }
            state.isStarted = true
        }
    }

    /// Whether it is there for containers.
    var isReady: Bool { state.withLock { $0.isStarted && $0.end == nil } }

    var end: End? { state.withLock { $0.end } }

    /// Blocks until it has stopped.
    func wait() -> End { state.wait { $0.end } ?? End(status: 0, at: .now) }

    func stopped(_ status: UInt32) {
        state.withLock { state in
            if state.end == nil { state.end = End(status: status, at: .now) }
        }
    }

    /// The pod ends with its virtual machine.
    func watch(_ sandbox: Sandbox) {
        let isFirst = state.withLock { state in
            defer { state.isWatched = true }
            return !state.isWatched
        }
        guard isFirst else { return }
        Thread.start("sandbox-end") { [self] in
            sandbox.waitUntilStopped()
            stopped(sandbox.failure == nil ? 0 : 255)
        }
    }
}

extension Timestamp {
    static var now: Timestamp { Timestamp(nanosecondsSinceEpoch: UInt64(Clock.realtime.nanoseconds)) }
}

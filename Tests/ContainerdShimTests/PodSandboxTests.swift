import ContainerdAPI
import Glibc
import OCISpec
import Protobuf
import Sandbox
import Testing

@testable import ContainerdShim

@Suite struct PodSandboxTests {
    private func pod(
        network: String = "/run/netns/x", annotations: [String: String] = [:],
        _ change: (inout PodSandboxConfig) -> Void = { _ in }
    ) throws -> PodSandbox {
        var configuration = PodSandboxConfig()
        change(&configuration)
        var request = CreateSandboxRequest()
        request.sandboxID = "pod"
        request.networkNamespacePath = network
        request.annotations = annotations
        request.options = AnyMessage(PodSandboxConfig.typeURL, configuration)
        return try PodSandbox(request)
    }

    /// What containerd and CRI-O say of a pod's limits, a pod cannot say itself: it would get round the allow-list.
    @Test func aPodDoesNotSpeakForContainerd() throws {
        let words = ["io.kubernetes.cri-o.PodLinuxResources": "{}", "io.kubernetes.cri.sandbox-memory": "1"]
        let pod = try pod(annotations: words) { $0.annotations = words }
        var spec = RuntimeSpec(linux: RuntimeSpec.Linux())
        pod.complete(&spec, isFirst: true)
        #expect(words.keys.allSatisfy { spec.annotations[$0] == nil })
    }

    @Test func namespacesThatCRIOKeepsAreThePods() {
        func namespaces(_ type: String) -> [RuntimeSpec.Namespace]? {
            var spec = RuntimeSpec(
                annotations: type.isEmpty ? [:] : ["io.kubernetes.cri-o.ContainerType": type],
                linux: RuntimeSpec.Linux(namespaces: [
                    .init(type: "ipc", path: "/run/ipcns/1"), .init(type: "network", path: "/run/netns/1"),
                    .init(type: "uts", path: "/proc/7/ns/uts"), .init(type: "pid"),
                ]))
            spec.unpinNamespaces(pod: 5)
            return spec.linux?.namespaces
        }
        #expect(namespaces("sandbox")?.map(\.path) == [nil, "/run/netns/1", "/proc/7/ns/uts", nil])
        #expect(namespaces("container")?.map(\.path) == ["/proc/5/ns/ipc", "/run/netns/1", "/proc/7/ns/uts", nil])
        #expect(namespaces("")?.map(\.path) == ["/run/ipcns/1", "/run/netns/1", "/proc/7/ns/uts", nil])
    }

    @Test func knowsTheNetwork() throws {
        #expect(try pod().network == .namespace(path: "/run/netns/x"))
        #expect(try pod(network: "").network == .new)
        #expect(throws: SandboxError.self) {
            try pod(network: "") { configuration in
                configuration.linux = PodSandboxConfig.Linux()
                configuration.linux?.securityContext = PodSandboxConfig.SecurityContext()
                configuration.linux?.securityContext?.namespaces = PodSandboxConfig.Namespaces()
                configuration.linux?.securityContext?.namespaces?.network = PodSandboxConfig.Namespaces.node
            }
        }
    }

    @Test func theFirstContainerMakesWhatOthersShare() throws {
        let pod = try pod { configuration in
            configuration.hostname = "podhost"
            configuration.linux = PodSandboxConfig.Linux()
            configuration.linux?.sysctls = ["net.a": "pod", "net.b": "pod"]
        }
        let ours = "/proc/\(getpid())/ns/ipc"
        let spec = RuntimeSpec(
            linux: RuntimeSpec.Linux(
                namespaces: [
                    .init(type: "ipc", path: ours), .init(type: "pid", path: "/proc/1/ns/pid"), .init(type: "uts"),
                ],
                sysctl: ["net.b": "own"]))
        var first = spec
        pod.complete(&first, isFirst: true)
        #expect(first.linux?.namespaces.map(\.path) == [nil, "/proc/1/ns/pid", nil])
        #expect(first.hostname == "podhost")
        #expect(first.linux?.sysctl == ["net.a": "pod", "net.b": "own"])
        var second = spec
        pod.complete(&second, isFirst: false)
        #expect(second.linux?.namespaces.map(\.path) == [ours, "/proc/1/ns/pid", nil])
        #expect(second.hostname == nil)
    }

    @Test func sizesComeFromThePod() throws {
        let pod = try pod(annotations: ["io.cloister.memory": "1g"]) { configuration in
            configuration.linux = PodSandboxConfig.Linux()
            configuration.linux?.resources = PodSandboxConfig.Resources()
            configuration.linux?.resources?.memoryLimitInBytes = 3 << 30
            configuration.linux?.resources?.cpuQuota = 150_000
            configuration.linux?.resources?.cpuPeriod = 100_000
        }
        // The first container's own limits are not the pod's.
        var spec = RuntimeSpec(
            linux: RuntimeSpec.Linux(resources: .init(memory: .init(limit: 1 << 20))))
        pod.complete(&spec, isFirst: true)
        let limits = PodLimits(spec)
        #expect(limits.memoryInBytes == 3 << 30)
        #expect(limits.vcpus == 2)
        #expect(spec.annotations["io.cloister.memory"] == "1g")

        var other = RuntimeSpec(linux: RuntimeSpec.Linux(resources: .init(memory: .init(limit: 1 << 20))))
        try self.pod().complete(&other, isFirst: true)
        #expect(PodLimits(other).memoryInBytes == nil)
    }

    @Test func livesAndEndsOnce() throws {
        let pod = try pod()
        #expect(!pod.isReady)
        try pod.start()
        #expect(pod.isReady)
        pod.stopped(255)
        pod.stopped(0)
        #expect(!pod.isReady)
        #expect(pod.wait().status == 255)
        #expect(throws: SandboxError.self) { try pod.start() }
    }
}

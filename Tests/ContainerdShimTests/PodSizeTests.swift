import Config
import OCISpec
import Testing

@testable import ContainerdShim

@Suite struct PodSizeTests {
    static let host = HostCapacity(memoryInBytes: 8 << 30, cpus: 6)
    /// Memory in MiB and vCPUs.
    static let standard: (UInt64, UInt32) = (512, 1)

    struct Case: CustomStringConvertible, Sendable {
        var description: String
        var annotations: [String: String] = [:]
        var resources: RuntimeSpec.Resources?
        var expected: (UInt64, UInt32)
    }

    static func cri(_ memory: String, _ quota: String, _ period: String = "100000", _ shares: String = "2") -> [String:
        String]
    {
        [
            "io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-memory": memory,
            "io.kubernetes.cri.sandbox-cpu-quota": quota, "io.kubernetes.cri.sandbox-cpu-period": period,
            "io.kubernetes.cri.sandbox-cpu-shares": shares,
        ]
    }

    static func limits(_ memory: Int64? = nil, _ quota: Int64? = nil, _ period: UInt64? = nil) -> RuntimeSpec.Resources
    {
        RuntimeSpec.Resources(
            memory: RuntimeSpec.Memory(limit: memory), cpu: RuntimeSpec.CPU(shares: 4096, quota: quota, period: period))
    }

    static let cases = [
        Case(description: "nothing said", expected: standard),
        Case(description: "limits of a pod", annotations: cri("268435456", "220000"), expected: (320, 3)),
        Case(description: "whole CPUs", annotations: cri("268435456", "200000"), expected: (320, 2)),
        Case(description: "another period", annotations: cri("0", "50000", "10000"), expected: (512, 5)),
        Case(description: "no period", annotations: cri("0", "150000", "0"), expected: (512, 2)),
        Case(description: "a pod without limits", annotations: cri("0", "0"), expected: standard),
        Case(description: "unlimited", annotations: cri("-1", "-1"), expected: standard),
        Case(description: "requests alone", annotations: cri("0", "0", "100000", "3000"), expected: (512, 3)),
        Case(description: "a small limit", annotations: cri("1048576", "1000"), expected: (128, 1)),
        Case(
            description: "more than the host has", annotations: cri("9223372036854771712", "9223372036854775807"),
            expected: (8192, 6)),
        Case(description: "not numbers", annotations: cri("lots", "many", "", "x"), expected: standard),
        Case(
            description: "the pause program's own limits",
            annotations: ["io.kubernetes.cri.container-type": "sandbox"], resources: limits(1 << 30, 300_000),
            expected: standard),
        Case(
            description: "the pod's come before the pause program's", annotations: cri("268435456", "0"),
            resources: limits(1 << 30, 300_000), expected: (320, 1)),
        Case(description: "a container alone", resources: limits(256 << 20, 150_000, 100_000), expected: (320, 2)),
        Case(description: "a container's -1", resources: limits(-1, -1), expected: standard),
        Case(description: "shares of a container alone are no limit", resources: limits(), expected: standard),
        Case(
            description: "CRI-O",
            annotations: [
                "io.kubernetes.cri-o.ContainerType": "sandbox",
                "io.kubernetes.cri-o.PodLinuxResources":
                    #"{"cpu_period":100000,"cpu_quota":250000,"memory_limit_in_bytes":268435456,"unified":{"a":"b"}}"#,
            ], expected: (320, 3)),
        Case(
            description: "CRI-O, not JSON",
            annotations: ["io.kubernetes.cri-o.ContainerType": "sandbox", "pod-linux-resources.crio.io": "{"],
            expected: standard),
    ]

    @Test(arguments: cases)
    func sizes(_ one: Case) {
        var spec = RuntimeSpec(annotations: one.annotations)
        spec.linux = RuntimeSpec.Linux(resources: one.resources)
        let size = MachineSize.ofPod(spec, Configuration(environment: { _ in nil }), host: Self.host)
        #expect(size.memoryInBytes == one.expected.0 << 20)
        #expect(size.vcpus == one.expected.1)
    }

    @Test func whatThePodAsksForComesFirst() throws {
        var configuration = Configuration(environment: { _ in nil })
        configuration.podAnnotations = PodAnnotations.allowable
        configuration = try configuration.changed(byPod: ["io.cloister.memory": "2g", "io.cloister.cpus": "4"])
        let spec = RuntimeSpec(annotations: Self.cri("268435456", "220000"))
        let size = MachineSize.ofPod(spec, configuration, host: Self.host)
        #expect(size.memoryInBytes == 2 << 30)
        #expect(size.vcpus == 4)
    }

    @Test func aRequestIsNoReasonForFewerThanConfigured() {
        var configuration = Configuration(environment: { _ in nil })
        configuration.cpus = 4
        let spec = RuntimeSpec(annotations: Self.cri("0", "0", "100000", "2048"))
        #expect(MachineSize.ofPod(spec, configuration, host: Self.host).vcpus == 4)
    }

    @Test func theHostIsKnown() {
        #expect(HostCapacity.own.cpus >= 1)
        #expect(HostCapacity.own.memoryInBytes > 64 << 20)
    }
}

import Config
import OCISpec

/// The limits of a pod, before it has containers: what its virtual machine is sized by.
///
/// A pod's are the sums over its containers that the kubelet writes into the sandbox's configuration (Kubernetes 1.23 and
/// later), which containerd and CRI-O pass on as annotations. A container without a pod (`ctr run`) brings its own.
struct PodLimits: Equatable {
    /// nil where there is no limit.
    var memoryInBytes: UInt64?
    /// Microseconds of CPU time in each `period`; nil where there is no limit.
    var quota: UInt64?
    var period: UInt64 = 100_000
    /// What is asked for rather than a limit, 1024 to a CPU.
    var shares: UInt64 = 0

    /// - Parameter spec: of the pod's first container, which for a pod of Kubernetes is its sandbox container.
    init(_ spec: RuntimeSpec) {
        let annotations = spec.annotations
        if let text = Self.crioNames.lazy.compactMap({ annotations[$0] }).first {
            self.init(crio: text)
        } else if annotations[CRI.memory] != nil || annotations[CRI.quota] != nil || annotations[CRI.shares] != nil {
            self.init(
                memory: annotations[CRI.memory].flatMap { Int64($0) },
                quota: annotations[CRI.quota].flatMap { Int64($0) },
                period: annotations[CRI.period].flatMap { Int64($0) },
                shares: annotations[CRI.shares].flatMap { Int64($0) })
        } else if Self.isSandbox(annotations) {
            // Its own limits are those of the pause program.
            self.init(memory: nil, quota: nil, period: nil, shares: nil)
        } else {
            let resources = spec.linux?.resources
            self.init(
                memory: resources?.memory?.limit, quota: resources?.cpu?.quota,
                period: resources?.cpu?.period.map { Int64(clamping: $0) }, shares: nil)
        }
    }

    /// 0 and less mean that there is none.
    private init(memory: Int64?, quota: Int64?, period: Int64?, shares: Int64?) {
        if let memory, memory > 0 { memoryInBytes = UInt64(memory) }
        if let period, period > 0 { self.period = UInt64(period) }
        if let quota, quota > 0 { self.quota = UInt64(quota) }
        if let shares, shares > 0 { self.shares = UInt64(shares) }
    }

    /// What is not understood is taken for no limit: these are hints, and the pod's cgroup holds in any case.
    private init(crio text: String) {
        let resources = try? OCIJSON.decode(CRIOResources.self, from: Array(text.utf8))
        self.init(
            memory: resources?.memory_limit_in_bytes, quota: resources?.cpu_quota, period: resources?.cpu_period,
            shares: resources?.cpu_shares)
    }

    /// CPUs that the limit takes to be used up; without one, those that are asked for.
    var vcpus: UInt64? {
        if let quota { return (quota - 1) / period + 1 }
        return shares > 1024 ? (shares - 1) / 1024 + 1 : nil
    }

    /// containerd `pkg/cri/annotations`.
    enum CRI {
        static let memory = "io.kubernetes.cri.sandbox-memory"
        static let quota = "io.kubernetes.cri.sandbox-cpu-quota"
        static let period = "io.kubernetes.cri.sandbox-cpu-period"
        static let shares = "io.kubernetes.cri.sandbox-cpu-shares"
        static let containerType = "io.kubernetes.cri.container-type"
    }

    private static func isSandbox(_ annotations: [String: String]) -> Bool {
        annotations[CRI.containerType] == "sandbox"
            || annotations["io.kubernetes.cri-o.ContainerType"] == "sandbox"
    }

    /// CRI-O's name for it, and the one before.
    private static let crioNames = ["pod-linux-resources.crio.io", "io.kubernetes.cri-o.PodLinuxResources"]

    /// The fields of the CRI's `LinuxContainerResources`, by their names there.
    private struct CRIOResources: Decodable {
        var cpu_period: Int64?
        var cpu_quota: Int64?
        var cpu_shares: Int64?
        var memory_limit_in_bytes: Int64?
    }
}

extension MachineSize {
    /// Of a pod's virtual machine: what the pod's own annotations ask for (`PodAnnotations`), else what its limits take with
    /// the overhead, else the configuration's. Never more than the host has.
    /// - Parameters:
    ///   - spec: of the pod's first container.
    ///   - configuration: already changed by the pod's annotations.
    static func ofPod(
        _ spec: RuntimeSpec, _ configuration: Configuration, host: HostCapacity = .own
    ) -> MachineSize {
        let limits = PodLimits(spec)
        let asked = configuration.setByPod
        let vcpus = limits.vcpus.map { max(UInt32(clamping: $0), limits.quota == nil ? configuration.cpus : 1) }
        var size = MachineSize(
            memoryLimitInBytes: asked.contains("memory") ? nil : limits.memoryInBytes,
            vcpus: asked.contains("cpus") ? nil : vcpus, configuration)
        size.memoryInBytes = max(smallestGuestInBytes, min(size.memoryInBytes, (host.memoryInBytes >> 20) << 20))
        size.vcpus = max(1, min(size.vcpus, host.cpus))
        return size
    }
}

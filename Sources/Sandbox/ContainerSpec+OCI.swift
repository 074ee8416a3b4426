import AgentAPI
import OCISpec

extension ContainerSpec {
    /// What the guest carries out of a bundle's configuration. The filter of system calls is left out: it takes long enough to
    /// be compiled beside something else (`SeccompFilter`).
    /// - Parameter joinable: for a container of a pod, the id of the container that has the namespace at this path; nil for
    ///   a path that is none of the pod's. Without it the sandbox is the container's alone (`cloister run`).
    /// - Throws: `SandboxError` for what means nothing in a sandbox, in a sentence.
    init(_ spec: RuntimeSpec, joinable: ((_ path: String) -> String?)? = nil) throws(SandboxError) {
        self.init()
        guard let process = spec.process else { throw SandboxError(.invalid, "config.json has no \"process\"") }
        self.process = ProcessSpec(process, user: spec.annotations[RuntimeSpec.userAnnotation] ?? "")
        hostname = spec.hostname ?? ""
        domainname = spec.domainname ?? ""
        readOnlyRoot = spec.root?.readonly ?? false
        mounts = spec.mounts.map(Mount.init)
        guard let linux = spec.linux else { return }
        resources = linux.resources.map { Resources($0) } ?? Resources()
        maskedPaths = linux.maskedPaths
        readOnlyPaths = linux.readonlyPaths
        sysctls = linux.sysctl
        devices = linux.devices.map(Device.init)
        rootfsPropagation = linux.rootfsPropagation ?? ""
        if let joinable {
            try adoptPod(spec, linux, joinable)
        } else {
            try adoptNamespaces(linux)
        }
    }

    private mutating func adoptNamespaces(_ linux: RuntimeSpec.Linux) throws(SandboxError) {
        for namespace in linux.namespaces {
            // A namespace by path is one of the host's, which no guest can join.
            if let path = namespace.path, !path.isEmpty, namespace.type != "network" {
                throw SandboxError(
                    .invalid, "the \(namespace.type) namespace \(path) is the host's; a sandbox cannot join it")
            }
            namespaces.append(namespace.type)
        }
    }
}

extension ProcessSpec {
    init(_ process: RuntimeSpec.Process, user: String) {
        self.init()
        terminal = process.terminal
        rows = process.consoleSize?.height ?? 0
        columns = process.consoleSize?.width ?? 0
        self.user = user
        uid = process.user.uid
        gid = process.user.gid
        umask = process.user.umask
        additionalGids = process.user.additionalGids
        arguments = process.args
        environment = process.env
        workingDirectory = process.cwd
        if let sets = process.capabilities {
            capabilities.bounding = sets.bounding
            capabilities.effective = sets.effective
            capabilities.permitted = sets.permitted
            capabilities.inheritable = sets.inheritable
            capabilities.ambient = sets.ambient
        }
        rlimits = process.rlimits.map { limit in
            var result = Rlimit()
            result.type = limit.type
            result.soft = limit.soft
            result.hard = limit.hard
            return result
        }
        noNewPrivileges = process.noNewPrivileges
        oomScoreAdjustment = process.oomScoreAdj.map(Int32.init(clamping:))
    }
}

extension Mount {
    init(_ mount: RuntimeSpec.Mount) {
        self.init()
        destination = mount.destination
        type = mount.type ?? ""
        source = mount.source ?? ""
        options = mount.options
    }
}

extension Resources {
    init(_ resources: RuntimeSpec.Resources) {
        self.init()
        memoryLimitInBytes = resources.memory?.limit
        memorySwapInBytes = resources.memory?.swap
        memoryReservationInBytes = resources.memory?.reservation
        cpuShares = resources.cpu?.shares
        cpuQuotaInMicroseconds = resources.cpu?.quota
        cpuPeriodInMicroseconds = resources.cpu?.period
        cpus = resources.cpu?.cpus ?? ""
        memoryNodes = resources.cpu?.mems ?? ""
        pidsLimit = resources.pids?.limit
        unified = resources.unified
        deviceRules = resources.devices.map(DeviceRule.init)
    }
}

extension DeviceRule {
    init(_ rule: RuntimeSpec.DeviceRule) {
        self.init()
        allow = rule.allow
        type = rule.type ?? ""
        major = rule.major
        minor = rule.minor
        access = rule.access ?? ""
    }
}

extension Device {
    init(_ device: RuntimeSpec.Device) {
        self.init()
        path = device.path
        type = device.type
        major = device.major ?? 0
        minor = device.minor ?? 0
        fileMode = device.fileMode ?? 0o666
        uid = device.uid ?? 0
        gid = device.gid ?? 0
    }
}

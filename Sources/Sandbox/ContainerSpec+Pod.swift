import AgentAPI
import Glibc
import OCISpec
import System

/// What a specification made for the host means for a container of a pod, whose kernel is its own.
extension ContainerSpec {
    /// - Parameter joinable: see `init(_:joinable:)`.
    mutating func adoptPod(
        _ spec: RuntimeSpec, _ linux: RuntimeSpec.Linux, _ joinable: (_ path: String) -> String?
    ) throws(SandboxError) {
        try adoptPodNamespaces(linux, joinable)
        resources = linux.resources.map { Resources(pod: $0) } ?? Resources()
        if spec.isPrivileged {
            // The host's devices are not the guest's: privileged is privileged there. Disks are given where they were named.
            devices = Self.named(devices)
            allDevices = true
            resources.deviceRules = []
            return
        }
        for device in devices where device.type != "b" { try refuseHostDevice(device) }
        if !resources.deviceRules.isEmpty {
            // What a runtime supplies whether or not it is asked for (config-linux.md, "Default Devices").
            resources.deviceRules += RuntimeSpec.defaultDeviceRules.dropFirst().map(DeviceRule.init)
            // By the host's numbers, which are other devices' in the guest. What they say of disks is said of those by name.
            resources.deviceRules.removeAll { $0.type == "b" && ![nil, -1].contains($0.major) }
        }
    }

    /// The block devices of a privileged container that somebody named: where the list is of all the host has, as containerd
    /// makes it, those that it has under another path.
    private static func named(_ devices: [Device]) -> [Device] {
        let isOfAll = devices.contains { ($0.type, $0.major, $0.minor) == ("c", 1, 3) }
        return devices.filter { device in
            var info = stat()
            guard device.type == "b" else { return false }
            guard isOfAll, stat(device.path, &info) == 0 else { return true }
            let number = DeviceNumber(info.st_rdev)
            return info.st_mode & S_IFMT != S_IFBLK || (number.major, number.minor) != (device.major, device.minor)
        }
    }

    private mutating func adoptPodNamespaces(
        _ linux: RuntimeSpec.Linux, _ joinable: (_ path: String) -> String?
    ) throws(SandboxError) {
        let kinds = Set(linux.namespaces.map(\.type))
        for (kind, option) in [("pid", "hostPID"), ("ipc", "hostIPC"), ("network", "hostNetwork")]
        where !kinds.contains(kind) {
            throw SandboxError(
                .invalid,
                "the container asks for the host's \(kind) namespace, which a sandbox with a kernel of its own cannot join; "
                    + "leave \(option) out, or use another runtime class")
        }
        for namespace in linux.namespaces where namespace.type != "network" {
            let kind = namespace.type
            if kind == "user", !linux.uidMappings.isEmpty || !linux.gidMappings.isEmpty || namespace.path ?? "" != "" {
                throw SandboxError(
                    .invalid,
                    "the container asks for a user namespace with numbers mapped to the host's, and the sandbox's kernel knows "
                        + "none of those; set hostUsers to true: the sandbox already separates the container's root from the host's"
                )
            }
            guard let path = namespace.path, !path.isEmpty else {
                namespaces.append(kind)
                continue
            }
            guard let id = joinable(path), ["ipc", "pid", "time", "uts"].contains(kind) else {
                throw SandboxError(
                    .invalid, "the \(kind) namespace \(path) is not one of this pod's; a sandbox cannot join it")
            }
            joinedNamespaces[kind] = id
        }
        // What the container mounts is not to be seen by the guest's agent.
        if !kinds.contains("mount") { namespaces.append("mount") }
    }

    /// Devices that are numbered the same on every Linux (kernel `Documentation/admin-guide/devices.txt`) and that the
    /// guest's kernel has, are the guest's own.
    private func refuseHostDevice(_ device: Device) throws(SandboxError) {
        let isTheSameEverywhere =
            switch (device.type, device.major, device.minor) {
            case ("p", _, _): true
            // Memory devices such as /dev/null; terminals.
            case ("c", 1, _), ("u", 1, _), ("c", 5, _), ("u", 5, _): true
            // /dev/net/tun, /dev/fuse, /dev/loop-control.
            case ("c", 10, 200), ("c", 10, 229), ("c", 10, 237): true
            default: false
            }
        guard isTheSameEverywhere else {
            throw SandboxError(
                .invalid,
                "the container asks for \(device.path), a device of the host, which a sandbox does not have; "
                    + "leave it out, or use another runtime class")
        }
    }
}

extension RuntimeSpec {
    /// Whether the specification is that of a privileged container. None says so: it is told by all that makes a container
    /// less than the machine being absent.
    var isPrivileged: Bool {
        guard let linux, let capabilities = process?.capabilities else { return false }
        return linux.maskedPaths.isEmpty && linux.readonlyPaths.isEmpty && linux.seccomp == nil
            && ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_MKNOD"].allSatisfy(capabilities.bounding.contains)
    }
}

extension Resources {
    /// Limits of a container in a pod. CPUs and memory nodes are left out: their numbers are the host's, and which of the
    /// host's CPUs the pod runs on is said to the host's control group.
    init(pod resources: RuntimeSpec.Resources) {
        self.init(resources)
        cpus = ""
        memoryNodes = ""
    }
}

extension RuntimeSpec {
    /// What a container gets when nobody says otherwise: containerd's default for Linux. Where Docker's `run` differs
    /// and a person would notice, Docker's choice: `noNewPrivileges` is off.
    ///
    /// The process has no arguments, no environment and no seccomp filter yet; see `container(image:overrides:)`.
    /// - Parameters:
    ///   - capabilities: the bounding, permitted and effective sets.
    ///   - cgroupsPath: where in the guest's cgroup tree; nil leaves it to the agent.
    public static func containerDefault(
        capabilities: [String] = Capabilities.defaultNames, cgroupsPath: String? = nil
    ) -> RuntimeSpec {
        RuntimeSpec(
            process: Process(
                cwd: "/",
                capabilities: Capabilities(
                    bounding: capabilities, effective: capabilities, permitted: capabilities),
                rlimits: [Rlimit(type: "RLIMIT_NOFILE", hard: 1024, soft: 1024)]),
            root: Root(path: "rootfs", readonly: false),
            mounts: defaultMounts,
            linux: Linux(
                namespaces: ["pid", "ipc", "uts", "mount", "network", "cgroup"].map { Namespace(type: $0) },
                cgroupsPath: cgroupsPath,
                resources: Resources(devices: defaultDeviceRules),
                maskedPaths: defaultMaskedPaths,
                readonlyPaths: defaultReadonlyPaths))
    }

    static let defaultMounts: [Mount] = [
        Mount(destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]),
        Mount(
            destination: "/dev", type: "tmpfs", source: "tmpfs",
            options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        Mount(
            destination: "/dev/pts", type: "devpts", source: "devpts",
            options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        Mount(
            destination: "/dev/shm", type: "tmpfs", source: "shm",
            options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        Mount(destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"]),
        Mount(destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"]),
        Mount(
            destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup",
            options: ["nosuid", "noexec", "nodev", "relatime", "ro"]),
        Mount(
            destination: "/run", type: "tmpfs", source: "tmpfs",
            options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ]

    /// What would tell a container about the kernel, or let it reach the machine, beyond its namespaces.
    static let defaultMaskedPaths = [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
        "/sys/firmware",
    ]

    static let defaultReadonlyPaths = [
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]

    /// No device but the harmless ones; any node may be made, since opening it is what is refused.
    public static let defaultDeviceRules: [DeviceRule] =
        [
            DeviceRule(allow: false, access: "rwm"),
            DeviceRule(allow: true, type: "c", access: "m"),
            DeviceRule(allow: true, type: "b", access: "m"),
        ]
        + [
            (1, 3), (1, 5), (1, 7), (1, 8), (1, 9),  // null, zero, full, random, urandom
            (5, 0), (5, 1), (5, 2),  // tty, console, ptmx
        ].map { DeviceRule(allow: true, type: "c", major: $0.0, minor: $0.1, access: "rwm") } + [
            DeviceRule(allow: true, type: "c", major: 136, access: "rwm")  // pts
        ]
}

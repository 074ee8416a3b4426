extension RuntimeSpec.Capabilities {
    /// What containerd and Docker give a container.
    public static let defaultNames = [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
        "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
        "CAP_AUDIT_WRITE",
    ]

    /// Every capability of Linux 6.1, in the order of their numbers (capabilities(7)).
    public static let allNames = [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
        "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
        "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO",
        "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE",
        "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
        "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
        "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
    ]

    /// The default set changed by `--cap-add` and `--cap-drop`, as Docker reads them: names with or without `CAP_`, in
    /// any case, or `ALL`. What is added by name stays even when `ALL` is dropped; what is dropped by name stays away
    /// even when `ALL` is added.
    /// - Throws: `SpecError` for a name that is no capability.
    public static func names(adding: [String], dropping: [String]) throws(SpecError) -> [String] {
        let added = try adding.map { name throws(SpecError) in try normalise(name) }
        let dropped = try dropping.map { name throws(SpecError) in try normalise(name) }
        if added.contains("ALL") { return allNames.filter { !dropped.contains($0) } }
        let kept = dropped.contains("ALL") ? [] : defaultNames.filter { !dropped.contains($0) }
        return kept + allNames.filter { added.contains($0) && !kept.contains($0) }
    }

    private static func normalise(_ name: String) throws(SpecError) -> String {
        let upper = name.uppercased()
        if upper == "ALL" { return upper }
        let full = upper.hasPrefix("CAP_") ? upper : "CAP_" + upper
        guard allNames.contains(full) else {
            throw SpecError("\"\(name)\" is not a capability; capabilities(7) lists them, e.g. NET_ADMIN")
        }
        return full
    }
}

/// A container that cannot be described as asked: one sentence for the person who asked.
public struct SpecError: Error, CustomStringConvertible, Equatable, Sendable {
    public let description: String
    public init(_ description: String) { self.description = description }
}

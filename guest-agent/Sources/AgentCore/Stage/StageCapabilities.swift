import AgentAPI
import CAgent
import System

/// The five capability sets (capabilities(7)) as bits.
struct CapabilitySets {
    var bounding: UInt64
    var effective: UInt64
    var permitted: UInt64
    var inheritable: UInt64
    var ambient: UInt64

    /// Names the kernel does not know give nothing.
    init(_ names: Capabilities) {
        bounding = Self.bits(names.bounding)
        effective = Self.bits(names.effective)
        permitted = Self.bits(names.permitted)
        inheritable = Self.bits(names.inheritable)
        ambient = Self.bits(names.ambient)
    }

    /// Takes away for good what the bounding set does not have. While the thread still may.
    func dropBounding() throws(SystemError) {
        var capability: Int32 = 0
        while true {
            let held = ca_bounding_has(capability)
            if held < 0 { return }
            if held == 1 && bounding & (1 << UInt64(capability)) == 0 {
                let number = capability
                try syscall("drop capability", Self.name(number)) { ca_bounding_drop(number) }
            }
            capability += 1
        }
    }

    /// Sets the other four. After the change of user.
    func apply() throws(SystemError) {
        try syscall("capset") { ca_capset(effective, permitted, inheritable) }
        try syscall("clear ambient capabilities") { ca_ambient_clear() }
        for capability: Int32 in 0..<64 where ambient & (1 << UInt64(capability)) != 0 {
            try syscall("raise ambient capability", Self.name(capability)) { ca_ambient_raise(capability) }
        }
    }

    private static func bits(_ names: [String]) -> UInt64 {
        names.reduce(0) { bits, name in
            guard let number = Self.names.firstIndex(of: name) else { return bits }
            return bits | 1 << UInt64(number)
        }
    }

    private static func name(_ number: Int32) -> String {
        names.indices.contains(Int(number)) ? names[Int(number)] : "\(number)"
    }

    /// By number (linux/capability.h).
    private static let names = [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
        "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
        "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
        "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
        "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
        "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
    ]
}

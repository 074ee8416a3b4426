import CSystem
import Glibc

/// A mount's options, sorted into what mount(2) takes as flags and what the filesystem gets as text
/// (<https://github.com/opencontainers/runtime-spec/blob/main/config.md#linux-mount-options>).
public struct MountOptions: Sendable {
    /// `MS_*` to set.
    public var flags: UInt = 0
    /// `MS_*` that an option such as `rw` or `exec` takes away from what is there.
    public var cleared: UInt = 0
    /// Propagation changes, each a call of its own.
    public var propagation: [UInt] = []
    /// `MOUNT_ATTR_*` for the mount and everything below it.
    public var recursivelySet: UInt64 = 0
    public var recursivelyCleared: UInt64 = 0
    /// A tmpfs begins with what the image has at its place.
    public var copiesUp = false
    public var data: [String] = []

    public var isBind: Bool { flags & UInt(MS_BIND) != 0 }

    public init(_ options: [String]) {
        for option in options {
            if let flag = Self.set[option] {
                flags |= flag
                cleared &= ~flag
            } else if let flag = Self.clear[option] {
                flags &= ~flag
                cleared |= flag
            } else if let change = Self.propagations[option] {
                propagation.append(change)
            } else if let attribute = Self.recursive[option] {
                if attribute.isSet { recursivelySet |= attribute.value } else { recursivelyCleared |= attribute.value }
            } else if option == "tmpcopyup" {
                copiesUp = true
            } else if option != "defaults" && !option.isEmpty {
                data.append(option)
            }
        }
    }

    private static let set: [String: UInt] = [
        "bind": UInt(MS_BIND), "rbind": UInt(MS_BIND | MS_REC), "ro": UInt(MS_RDONLY), "nosuid": UInt(MS_NOSUID),
        "nodev": UInt(MS_NODEV), "noexec": UInt(MS_NOEXEC), "sync": UInt(MS_SYNCHRONOUS), "dirsync": UInt(MS_DIRSYNC),
        "remount": UInt(MS_REMOUNT), "mand": UInt(MS_MANDLOCK), "noatime": UInt(MS_NOATIME),
        "nodiratime": UInt(MS_NODIRATIME), "relatime": UInt(MS_RELATIME), "strictatime": UInt(MS_STRICTATIME),
        "iversion": UInt(MS_I_VERSION), "silent": 1 << 15, "lazytime": 1 << 25, "nosymfollow": 1 << 8,
    ]

    private static let clear: [String: UInt] = [
        "rw": UInt(MS_RDONLY), "suid": UInt(MS_NOSUID), "dev": UInt(MS_NODEV), "exec": UInt(MS_NOEXEC),
        "async": UInt(MS_SYNCHRONOUS), "nomand": UInt(MS_MANDLOCK), "atime": UInt(MS_NOATIME),
        "diratime": UInt(MS_NODIRATIME), "norelatime": UInt(MS_RELATIME), "nostrictatime": UInt(MS_STRICTATIME),
        "noiversion": UInt(MS_I_VERSION), "loud": 1 << 15, "nolazytime": 1 << 25, "symfollow": 1 << 8,
    ]

    public static let propagations: [String: UInt] = [
        "private": UInt(MS_PRIVATE), "shared": UInt(MS_SHARED), "slave": UInt(MS_SLAVE),
        "unbindable": UInt(MS_UNBINDABLE), "rprivate": UInt(MS_PRIVATE | MS_REC), "rshared": UInt(MS_SHARED | MS_REC),
        "rslave": UInt(MS_SLAVE | MS_REC), "runbindable": UInt(MS_UNBINDABLE | MS_REC),
    ]

    /// mount_setattr(2)'s attributes.
    private static let recursive: [String: (value: UInt64, isSet: Bool)] = [
        "rro": (0x1, true), "rrw": (0x1, false), "rnosuid": (0x2, true), "rsuid": (0x2, false), "rnodev": (0x4, true),
        "rdev": (0x4, false), "rnoexec": (0x8, true), "rexec": (0x8, false),
    ]
}

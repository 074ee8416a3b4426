import Protobuf

public struct CreateContainerRequest: Message {
    public var containerID = ""
    public var spec = ContainerSpec()
    public var rootfs = Rootfs()
    public var io = ProcessIO()
    public init() {}
    public static let fields: [Field<CreateContainerRequest>] = [
        .singular(1, \.containerID, .string), .singular(2, \.spec, .message), .singular(3, \.rootfs, .message),
        .singular(4, \.io, .message),
    ]
}

/// What a container's root is built of: an overlay of layer disks, uppermost last, over which the writable disk lies; or a
/// directory of the share as it is; or a disk as it is.
public struct Rootfs: Message {
    public var layers: [Disk] = []
    /// Absent: the container's writes go to a tmpfs.
    public var writable: Disk?
    /// A directory below the share's root (`a/b`); empty for a root of disks.
    public var sharePath = ""
    public var disk: Disk?
    /// What `disk` is mounted with, as mount(8) has it.
    public var options: [String] = []
    public init() {}
    public static let fields: [Field<Rootfs>] = [
        .repeated(1, \.layers, .message), .optional(2, \.writable, .message), .singular(3, \.sharePath, .string),
        .optional(4, \.disk, .message), .repeated(5, \.options, .string),
    ]
}

/// A disk with a filesystem on it, by its virtio serial.
public struct Disk: Message {
    public var serial = ""
    public var filesystem = "ext4"
    /// Of a layer: whether its directories are already what the layers below it here make them (`UnpackLayerRequest`).
    public var isComplete = false
    public init() {}
    public static let fields: [Field<Disk>] = [
        .singular(1, \.serial, .string), .singular(2, \.filesystem, .string), .singular(3, \.isComplete, .bool),
    ]
}

/// The runtime specification's configuration, as far as the guest carries it out
/// (<https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md>).
public struct ContainerSpec: Message {
    public var process = ProcessSpec()
    public var hostname = ""
    public var domainname = ""
    public var readOnlyRoot = false
    public var mounts: [Mount] = []
    /// `pid`, `network`, `ipc`, `uts`, `mount`, `cgroup`, `user`, `time`: made new; a kind not listed is the guest's own.
    public var namespaces: [String] = []
    /// Kinds of namespace to share with another container of the sandbox, by its id; not in `namespaces` then.
    public var joinedNamespaces: [String: String] = [:]
    public var resources = Resources()
    public var seccomp: Seccomp?
    public var maskedPaths: [String] = []
    public var readOnlyPaths: [String] = []
    public var sysctls: [String: String] = [:]
    public var devices: [Device] = []
    /// Whether the container gets a node of every device the guest has.
    public var allDevices = false
    /// `private`, `slave`, `shared`, `unbindable`; empty means `private`.
    public var rootfsPropagation = ""
    public init() {}
    public static let fields: [Field<ContainerSpec>] = [
        .singular(1, \.process, .message), .singular(2, \.hostname, .string), .singular(3, \.domainname, .string),
        .singular(4, \.readOnlyRoot, .bool), .repeated(5, \.mounts, .message), .repeated(6, \.namespaces, .string),
        .singular(7, \.resources, .message), .optional(8, \.seccomp, .message), .repeated(9, \.maskedPaths, .string),
        .repeated(10, \.readOnlyPaths, .string), .map(11, \.sysctls, .string), .repeated(12, \.devices, .message),
        .singular(13, \.rootfsPropagation, .string), .map(14, \.joinedNamespaces, .string),
        .singular(15, \.allDevices, .bool),
    ]
}

/// `options` as mount(8) has them: flags by name (`ro`, `nosuid`, `rbind`, …), the rest is data for the filesystem.
public struct Mount: Message {
    public var destination = ""
    public var type = ""
    public var source = ""
    public var options: [String] = []
    /// What to bind, a file or directory below the share's root, in place of `source`.
    public var sharePath = ""
    /// A tmpfs that the sandbox's containers have in common, by a name of the host's, in place of `source`; made with `options`
    /// by the container that first names it.
    public var commonTmpfs = ""
    /// A device node to bind, in place of `source`.
    public var device: Device?
    public init() {}
    public static let fields: [Field<Mount>] = [
        .singular(1, \.destination, .string), .singular(2, \.type, .string), .singular(3, \.source, .string),
        .repeated(4, \.options, .string), .singular(5, \.sharePath, .string), .singular(6, \.commonTmpfs, .string),
        .optional(7, \.device, .message),
    ]
}

/// Limits of the container's cgroup (v2, kernel `Documentation/admin-guide/cgroup-v2.rst`), with the runtime
/// specification's meaning: absent is no limit, -1 is unlimited.
public struct Resources: Message {
    public var memoryLimitInBytes: Int64?
    /// Memory and swap together.
    public var memorySwapInBytes: Int64?
    public var memoryReservationInBytes: Int64?
    /// cgroup v1's scale, 2–262144.
    public var cpuShares: UInt64?
    public var cpuQuotaInMicroseconds: Int64?
    public var cpuPeriodInMicroseconds: UInt64?
    public var cpus = ""
    public var memoryNodes = ""
    public var pidsLimit: Int64?
    /// Files of the cgroup written as they are.
    public var unified: [String: String] = [:]
    /// Later rules win; without any, every device may be used.
    public var deviceRules: [DeviceRule] = []
    public init() {}
    public static let fields: [Field<Resources>] = [
        .optional(1, \.memoryLimitInBytes, .int64), .optional(2, \.memorySwapInBytes, .int64),
        .optional(3, \.memoryReservationInBytes, .int64), .optional(4, \.cpuShares, .uint64),
        .optional(5, \.cpuQuotaInMicroseconds, .int64), .optional(6, \.cpuPeriodInMicroseconds, .uint64),
        .singular(7, \.cpus, .string), .singular(8, \.memoryNodes, .string), .optional(9, \.pidsLimit, .int64),
        .map(10, \.unified, .string), .repeated(11, \.deviceRules, .message),
    ]
}

/// Whether devices may be used: the runtime specification's `linux.resources.devices`.
public struct DeviceRule: Message {
    public var allow = false
    /// `a`, `b` or `c`; empty is `a`, all.
    public var type = ""
    /// Absent or -1 is any.
    public var major: Int64?
    public var minor: Int64?
    /// Any of `r`, `w`, `m`; empty is all three.
    public var access = ""
    /// The serial of the disk that the rule is for, in place of `major` and `minor`.
    public var disk = ""
    public init() {}
    public static let fields: [Field<DeviceRule>] = [
        .singular(1, \.allow, .bool), .singular(2, \.type, .string), .optional(3, \.major, .int64),
        .optional(4, \.minor, .int64), .singular(5, \.access, .string), .singular(6, \.disk, .string),
    ]
}

/// A device node to make: `c`, `b`, `u` or `p`.
public struct Device: Message {
    public var path = ""
    public var type = ""
    public var major: Int64 = 0
    public var minor: Int64 = 0
    public var fileMode: UInt32 = 0o666
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    /// The serial of the disk that the node is for, in place of `major` and `minor`.
    public var disk = ""
    public init() {}
    public static let fields: [Field<Device>] = [
        .singular(1, \.path, .string), .singular(2, \.type, .string), .singular(3, \.major, .int64),
        .singular(4, \.minor, .int64), .singular(5, \.fileMode, .uint32), .singular(6, \.uid, .uint32),
        .singular(7, \.gid, .uint32), .singular(8, \.disk, .string),
    ]
}

/// The runtime specification's `linux.seccomp`, names as there (`SCMP_ACT_ERRNO`, `SCMP_ARCH_X86_64`, `SCMP_CMP_EQ`).
public struct Seccomp: Message {
    public var defaultAction = ""
    public var defaultErrno: UInt32?
    public var architectures: [String] = []
    public var flags: [String] = []
    public var rules: [Rule] = []
    public init() {}
    public static let fields: [Field<Seccomp>] = [
        .singular(1, \.defaultAction, .string), .optional(2, \.defaultErrno, .uint32),
        .repeated(3, \.architectures, .string), .repeated(4, \.flags, .string), .repeated(5, \.rules, .message),
    ]

    public struct Rule: Message {
        public var names: [String] = []
        public var action = ""
        public var errno: UInt32?
        public var arguments: [Argument] = []
        public init() {}
        public static let fields: [Field<Rule>] = [
            .repeated(1, \.names, .string), .singular(2, \.action, .string), .optional(3, \.errno, .uint32),
            .repeated(4, \.arguments, .message),
        ]
    }

    public struct Argument: Message {
        public var index: UInt32 = 0
        public var value: UInt64 = 0
        public var valueTwo: UInt64 = 0
        public var comparison = ""
        public init() {}
        public static let fields: [Field<Argument>] = [
            .singular(1, \.index, .uint32), .singular(2, \.value, .uint64), .singular(3, \.valueTwo, .uint64),
            .singular(4, \.comparison, .string),
        ]
    }
}

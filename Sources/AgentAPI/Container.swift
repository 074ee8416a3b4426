import Protobuf

public struct CreateContainerRequest: Message {
    public var containerID = ""
    public var spec = ContainerSpec()
    public var rootfs = Rootfs()
    public var io = ProcessIO()
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &containerID)
        field(2, &spec)
        field(3, &rootfs)
        field(4, &io)
    }
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
    public mutating func fields(_ field: inout Fields) {
        field(1, &layers)
        field(2, &writable)
        field(3, &sharePath)
        field(4, &disk)
        field(5, &options)
    }
}

/// A filesystem on a disk, which has the virtio serial.
public struct Disk: Message {
    public var serial = ""
    /// Where on the disk the filesystem lies, in whole sectors of 512 bytes; size 0 for one that has the disk to itself.
    public var offsetInBytes: UInt64 = 0
    public var sizeInBytes: UInt64 = 0
    public var filesystem = "ext4"
    /// Of a layer: whether its directories are already what the layers below it here make them (`UnpackLayerRequest`).
    public var isComplete = false
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &serial)
        field(2, &filesystem)
        field(3, &isComplete)
        field(4, &offsetInBytes)
        field(5, &sizeInBytes)
    }
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
    /// Of every process of the container, those that join it later too. Absent: none.
    public var seccomp: SeccompFilter?
    public var maskedPaths: [String] = []
    public var readOnlyPaths: [String] = []
    public var sysctls: [String: String] = [:]
    public var devices: [Device] = []
    /// Whether the container gets a node of every device the guest has.
    public var allDevices = false
    /// `private`, `slave`, `shared`, `unbindable`; empty means `private`.
    public var rootfsPropagation = ""
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &process)
        field(2, &hostname)
        field(3, &domainname)
        field(4, &readOnlyRoot)
        field(5, &mounts)
        field(6, &namespaces)
        field(7, &resources)
        field(8, &seccomp)
        field(9, &maskedPaths)
        field(10, &readOnlyPaths)
        field(11, &sysctls)
        field(12, &devices)
        field(13, &rootfsPropagation)
        field(14, &joinedNamespaces)
        field(15, &allDevices)
    }
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
    public mutating func fields(_ field: inout Fields) {
        field(1, &destination)
        field(2, &type)
        field(3, &source)
        field(4, &options)
        field(5, &sharePath)
        field(6, &commonTmpfs)
        field(7, &device)
    }
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
    public mutating func fields(_ field: inout Fields) {
        field(1, &memoryLimitInBytes)
        field(2, &memorySwapInBytes)
        field(3, &memoryReservationInBytes)
        field(4, &cpuShares)
        field(5, &cpuQuotaInMicroseconds)
        field(6, &cpuPeriodInMicroseconds)
        field(7, &cpus)
        field(8, &memoryNodes)
        field(9, &pidsLimit)
        field(10, &unified)
        field(11, &deviceRules)
    }
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
    public mutating func fields(_ field: inout Fields) {
        field(1, &allow)
        field(2, &type)
        field(3, &major)
        field(4, &minor)
        field(5, &access)
        field(6, &disk)
    }
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
    public mutating func fields(_ field: inout Fields) {
        field(1, &path)
        field(2, &type)
        field(3, &major)
        field(4, &minor)
        field(5, &fileMode)
        field(6, &uid)
        field(7, &gid)
        field(8, &disk)
    }
}

/// A system call filter, ready to be loaded: the runtime specification's `linux.seccomp`, compiled by the host.
public struct SeccompFilter: Message {
    /// Instructions of classic BPF (`struct sock_filter`) for the guest's architecture, and those of its programs.
    public var program: [UInt8] = []
    /// `SECCOMP_FILTER_FLAG_*`.
    public var flags: UInt32 = 0
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &program)
        field(2, &flags)
    }
}

import Glibc

/// How large a virtual machine the limits of a container or a pod make.
public struct MachineSize: Equatable, Sendable {
    public var memoryInBytes: UInt64
    public var vcpus: UInt32

    /// What kernel and agent take beside the containers: 64 MiB, and of a limit beyond 1 GiB a 64th more, which is what a
    /// kernel spends to keep account of its pages (64 bytes each of 4096).
    public static func overheadInBytes(limit: UInt64) -> UInt64 { 64 << 20 + (limit - min(limit, 1 << 30)) / 64 }

    /// Less than this and a distribution's kernel is short of memory while it boots.
    public static let smallestGuestInBytes: UInt64 = 128 << 20

    /// - Parameters:
    ///   - memoryLimitInBytes: of all containers together; nil leaves the guest at the configuration's size, and its
    ///     containers without a limit.
    ///   - vcpus: nil leaves the configuration's number.
    public init(memoryLimitInBytes limit: UInt64?, vcpus: UInt32?, _ configuration: Configuration) {
        self.vcpus = vcpus ?? configuration.cpus
        guard let limit else {
            memoryInBytes = configuration.memoryInBytes
            return
        }
        let most = Configuration.memoryBounds.most
        let wanted = max(min(limit, most) + Self.overheadInBytes(limit: min(limit, most)), Self.smallestGuestInBytes)
        memoryInBytes = Self.wholeMebibytes(wanted)
    }

    /// Rounded up to what QEMU and libvirt count in.
    static func wholeMebibytes(_ bytes: UInt64) -> UInt64 { ((bytes + (1 << 20) - 1) >> 20) << 20 }
}

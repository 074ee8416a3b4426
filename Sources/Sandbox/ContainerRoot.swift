import Storage

/// What a container's root filesystem is made of.
public enum ContainerRoot: Sendable {
    /// Filesystem images that become disks of the guest: read-only layers, lowest first, and at most one writable.
    case images([RootfsImage])
    /// Mounts as containerd hands them over, made on the host one over the other, and shared with the guest.
    case mounts([RootfsMountSpec])
    /// A directory of the host as it is, absolute: the `root.path` of a bundle whose rootfs somebody else has mounted.
    case directory(String)
}

/// One mount of a root filesystem (`containerd.types.Mount`).
public typealias RootfsMountSpec = HostMount

/// A filesystem image on the host that becomes part of a container's root.
public struct RootfsImage: Sendable {
    public var path: String
    /// As mount(2) names it, e.g. `ext4`.
    public var filesystem: String
    public var readOnly: Bool
    /// Of a layer: whether its directories are already what the layers below it here make them.
    public var isComplete: Bool

    public init(path: String, filesystem: String, readOnly: Bool, isComplete: Bool) {
        self.path = path
        self.filesystem = filesystem
        self.readOnly = readOnly
        self.isComplete = isComplete
    }
}

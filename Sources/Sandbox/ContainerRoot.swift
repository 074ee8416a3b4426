import OCISpec

/// What a container's root filesystem is made of.
public enum ContainerRoot: Sendable {
    /// Filesystem images that become disks of the guest: read-only layers, lowest first, and at most one writable.
    case images([RootfsImage])
    /// Mounts as containerd hands them over, made on the host one over the other, and shared with the guest.
    case mounts([RootfsMountSpec])
    /// A directory of the host as it is, absolute: the `root.path` of a bundle whose rootfs somebody else has mounted.
    case directory(String)
}

/// One mount of a root filesystem (`containerd.types.Mount`): a type and options as mount(8) has them.
public struct RootfsMountSpec: Sendable, Equatable {
    public var type: String
    public var source: String
    /// Below the root, for a mount that is not the root itself; mostly empty.
    public var target: String
    public var options: [String]

    public init(type: String, source: String, target: String = "", options: [String] = []) {
        self.type = type
        self.source = source
        self.target = target
        self.options = options
    }
}

extension Sandbox {
    /// Starts the sandbox, if it has not started yet, and makes the container in it.
    /// - Throws: `SandboxError` for a root that this machine cannot serve; the guest's `RPCError`.
    public func createContainer(
        id: String, bundle: String, spec: RuntimeSpec, root: ContainerRoot, stdio: Stdio
    ) throws -> Container {
        switch root {
        case .images(let images):
            return try createContainer(id: id, bundle: bundle, spec: spec, rootfs: images, stdio: stdio)
        case .mounts, .directory:
            throw SandboxError(
                .invalid, "the root of container \(id) is a directory of the host, and this sandbox takes images only")
        }
    }
}

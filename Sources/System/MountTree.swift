import CSystem
import Glibc

/// A copy of something mounted, mounted nowhere yet (open_tree(2)): what has to be different about it is made so before
/// anybody sees it. Unmounted again when it is let go without having been attached.
public struct MountTree: Sendable {
    private let descriptor: FileDescriptor

    /// - Parameters:
    ///   - path: a directory or file; a mount point or not.
    ///   - recursively: what is mounted below it comes too.
    public init(copying path: String, recursively: Bool) throws(SystemError) {
        descriptor = FileDescriptor(try syscall("open_tree", path) { cs_clone_mounts(path, recursively ? 1 : 0) })
    }

    /// What the original gets mounted later is not seen here, nor the other way round (mount_setattr(2), MS_PRIVATE).
    public func isolate() throws(SystemError) { try change(true, 0, UInt64(MS_PRIVATE)) }

    /// The topmost mount alone or all of the tree.
    public func makeReadOnly(recursively: Bool) throws(SystemError) {
        try change(recursively, cs_mount_attribute_read_only, 0)
    }

    private func change(_ recursively: Bool, _ attributes: UInt64, _ propagation: UInt64) throws(SystemError) {
        let tree = descriptor.raw
        try syscall("mount_setattr") { cs_set_mount_attributes(tree, recursively ? 1 : 0, attributes, propagation) }
    }

    /// Mounts the tree over a directory, or over a file where it is a file. Once.
    /// - Parameter followsLink: for a place by its descriptor, `/proc/thread-self/fd/N`.
    public func attach(at path: String, followsLink: Bool = false) throws(SystemError) {
        let tree = descriptor.raw
        try syscall("move_mount", path) { cs_attach_mounts(tree, path, followsLink ? 1 : 0) }
    }

    /// Takes off what was attached, with all that is mounted below it; what is open of it stays until it is closed.
    public func detach() { umount2("/proc/thread-self/fd/\(descriptor.raw)", Int32(MNT_DETACH)) }
}

public enum Mounts {
    /// mount(2).
    public static func mount(
        _ source: String?, at target: String, type: String?, flags: UInt = 0, data: String? = nil
    ) throws(SystemError) {
        try syscall("mount", target) { Glibc.mount(source, target, type, flags, data) }
    }

    /// Makes a directory a mount of its own, below which what is mounted appears in namespaces split off later, too. One that
    /// is so already is left.
    public static func makeShared(_ directory: String) throws(SystemError) {
        if try isShared(directory) { return }
        try mount(directory, at: directory, type: nil, flags: UInt(MS_BIND))
        try mount(nil, at: directory, type: nil, flags: UInt(MS_SHARED))
    }

    private static func isShared(_ path: String) throws(SystemError) -> Bool {
        try MountTable().read().last { $0.path == path }?.isShared ?? false
    }

    /// Whether something is mounted in a directory, at any depth.
    public static func hasMounts(below directory: String) -> Bool {
        guard let resolved = realpath(directory, nil) else { return false }
        defer { free(resolved) }
        let prefix = String(cString: resolved) + "/"
        return ((try? MountTable().read()) ?? []).contains { $0.path.hasPrefix(prefix) }
    }

    /// Takes everything off that is mounted at a path, and what is mounted below, at once; what is still open stays until it
    /// is closed.
    public static func detachAll(at path: String) {
        while umount2(path, cs_detach_mounts) == 0 {}
    }

    /// Runs `body` on a thread that has `directory` as its working directory.
    public static func run<T: Sendable>(
        in directory: String, _ body: @escaping @Sendable () throws(SystemError) -> T
    ) throws(SystemError) -> T {
        try Thread.run("mount") { () throws(SystemError) in
            try syscall("unshare") { cs_unshare_working_directory() }
            try syscall("chdir", directory) { chdir(directory) }
            return try body()
        }
    }
}

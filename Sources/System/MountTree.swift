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

    public enum Propagation: UInt64, Sendable {
        /// What the origin gets mounted later is not seen here.
        case isolated = 0x4_0000
        /// What the origin gets mounted or unmounted later is so here; never the other way.
        case follower = 0x8_0000
    }

    /// mount_setattr(2), on the topmost mount alone or on all of the tree.
    public func set(_ propagation: Propagation, recursively: Bool) throws(SystemError) {
        try change(recursively, 0, propagation.rawValue)
    }

    public func makeReadOnly(recursively: Bool) throws(SystemError) {
        try change(recursively, cs_mount_attribute_read_only, 0)
    }

    private func change(_ recursively: Bool, _ attributes: UInt64, _ propagation: UInt64) throws(SystemError) {
        let tree = descriptor.raw
        try syscall("mount_setattr") { cs_set_mount_attributes(tree, recursively ? 1 : 0, attributes, propagation) }
    }

    /// Mounts the tree over a directory, or over a file where it is a file. Once.
    public func attach(at path: String) throws(SystemError) {
        let tree = descriptor.raw
        try syscall("move_mount", path) { cs_attach_mounts(tree, path) }
    }
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

    /// Lines of proc_pid_mountinfo(5), in fields. Not of `/proc/self`: that is the first thread's.
    private static func mountInfo() throws(SystemError) -> [[Substring]] {
        try Files.readText("/proc/thread-self/mountinfo").split(separator: "\n").map { $0.split(separator: " ") }
    }

    /// Whether a path is a mount point whose propagation is shared.
    private static func isShared(_ path: String) throws(SystemError) -> Bool {
        guard let fields = try mountInfo().last(where: { $0.count > 6 && $0[4] == path[...] }) else { return false }
        return fields[6...].prefix { $0 != "-" }.contains { $0.hasPrefix("shared:") }
    }

    /// Whether something is mounted in a directory, at any depth.
    public static func hasMounts(below directory: String) -> Bool {
        guard let resolved = realpath(directory, nil) else { return false }
        defer { free(resolved) }
        // Spaces and their like are written in octal.
        let escaped = String(cString: resolved).flatMap { character -> String in
            switch character {
            case " ": "\\040"
            case "\t": "\\011"
            case "\n": "\\012"
            case "\\": "\\134"
            default: String(character)
            }
        }
        let prefix = String(escaped) + "/"
        return ((try? mountInfo()) ?? []).contains { $0.count > 4 && $0[4].hasPrefix(prefix) }
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
        let outcome = Guarded<Result<T, SystemError>?>(nil)
        Thread.start("mount") {
            let result = Result { () throws(SystemError) in
                try syscall("unshare") { cs_unshare_working_directory() }
                try syscall("chdir", directory) { chdir(directory) }
                return try body()
            }
            outcome.withLock { $0 = result }
        }
        guard let result = outcome.wait(until: { $0 }) else { throw SystemError("wait", errno: ECANCELED) }
        return try result.get()
    }
}

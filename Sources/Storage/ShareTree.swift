import Glibc
import System

/// The directory that a sandbox shares with its guest: whatever the guest is given is mounted below it, under a number that
/// is never used again, since a guest may remember names for a second.
///
/// The process must have a mount namespace of its own, which all its threads are in. Safe from any thread.
public final class ShareTree: Sendable {
    /// A directory or file of the host.
    public struct Volume: Hashable, Sendable {
        public enum ReadOnly: Hashable, Sendable {
            /// As the host has it.
            case unchanged
            /// The mount itself, not what is mounted below it.
            case topmost
            case everything
        }

        public var source: String
        /// With what is mounted below it.
        public var recursively: Bool
        public var readOnly: ReadOnly
        /// What the host mounts and unmounts there later is seen.
        public var followsHost: Bool

        public init(source: String, recursively: Bool, readOnly: ReadOnly = .unchanged, followsHost: Bool = false) {
            self.source = source
            self.recursively = recursively
            self.readOnly = readOnly
            self.followsHost = followsHost
        }
    }

    /// Volumes that are alike are mounted once: only then are the files of two containers the same files to the guest, which
    /// sockets and locks need.
    private struct Identity: Hashable {
        var volume: Volume
        var device: UInt64
        var inode: UInt64
    }

    private struct State {
        var next = 0
        var volumes: [Identity: (name: String, users: Int)] = [:]
    }

    public let directory: String
    private let state = Guarded(State())
    private let follower = ShareFollower()

    /// Makes the directory and a mount point of it.
    public init(_ directory: String) throws(SystemError) {
        self.directory = directory
        try Files.makeDirectories(directory, mode: 0o711)
        try Mounts.makeShared(directory)
    }

    /// Mounts a root filesystem's mounts, one over the other.
    /// - Returns: its name in the directory.
    public func addRoot(_ mounts: [HostMount]) throws(SystemError) -> String {
        try addRoot { path throws(SystemError) in
            for mount in mounts { try mount.mount(at: path) }
        }
    }

    /// Mounts a directory as a root filesystem.
    /// - Returns: its name in the directory.
    public func addRoot(_ tree: MountTree) throws(SystemError) -> String {
        try addRoot { path throws(SystemError) in
            try tree.isolate()
            try tree.attach(at: path)
        }
    }

    private func addRoot(_ mount: (_ path: String) throws(SystemError) -> Void) throws(SystemError) -> String {
        let (name, path) = number("r")
        if Glibc.mkdir(path, 0o755) != 0 { throw SystemError("mkdir", path) }
        do throws(SystemError) { try mount(path) } catch {
            remove(path)
            throw error
        }
        return name
    }

    /// Mounts a volume, or adds a user to one that is mounted already.
    /// - Returns: its name in the directory.
    public func add(_ volume: Volume) throws(SystemError) -> String {
        var info = stat()
        try syscall("stat", volume.source) { stat(volume.source, &info) }
        let identity = Identity(volume: volume, device: UInt64(info.st_dev), inode: UInt64(info.st_ino))
        let known: String? = state.withLock { state in
            guard let (name, users) = state.volumes[identity] else { return nil }
            state.volumes[identity] = (name, users + 1)
            return name
        }
        if let known { return known }
        let (name, path) = number("v")
        let isDirectory = info.st_mode & S_IFMT == S_IFDIR
        if isDirectory { try syscall("mkdir", path) { Glibc.mkdir(path, 0o755) } } else { try Files.write(path, []) }
        do throws(SystemError) { try mount(volume, at: path, named: name, isDirectory: isDirectory) } catch {
            follower.remove(name)
            remove(path)
            throw error
        }
        state.withLock { $0.volumes[identity] = (name, 1) }
        return name
    }

    private func mount(
        _ volume: Volume, at path: String, named name: String, isDirectory: Bool
    ) throws(SystemError) {
        let follows = volume.followsHost && volume.recursively && isDirectory
        let tree = try MountTree(copying: volume.source, recursively: volume.recursively && !follows)
        try tree.isolate()
        if volume.readOnly != .unchanged { try tree.makeReadOnly(recursively: volume.readOnly == .everything) }
        try tree.attach(at: path)
        if !follows { return }
        try follower.add(name, source: volume.source, at: path, readOnly: volume.readOnly == .everything)
    }

    /// Takes a root, or one user of a volume, away. What is still open in the guest stays until it is closed.
    public func release(_ name: String) {
        let isLast = state.withLock { state in
            guard let (identity, entry) = state.volumes.first(where: { $0.value.name == name }) else { return true }
            state.volumes[identity] = entry.users > 1 ? (name, entry.users - 1) : nil
            return entry.users <= 1
        }
        guard isLast else { return }
        follower.remove(name)
        remove("\(directory)/\(name)")
    }

    private func remove(_ path: String) {
        Mounts.detachAll(at: path)
        if unlink(path) != 0 { rmdir(path) }
    }

    private func number(_ prefix: String) -> (name: String, path: String) {
        let name = state.withLock { state in
            defer { state.next += 1 }
            return "\(prefix)\(state.next)"
        }
        return (name, "\(directory)/\(name)")
    }
}

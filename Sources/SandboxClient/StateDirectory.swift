import CSystem
import Glibc
import System

/// Directories of sandboxes, one each, named by the sandbox's id. A lock on a file in it says that somebody of the sandbox
/// lives; a directory whose lock is free was left by a crash of everything at once and is anybody's to remove.
public enum StateDirectory {
    private static let lockName = "lock"
    /// What the longest socket path adds to the state directory: libvirt's monitor socket.
    static let longestSuffixInBytes = "/vm/lib/qemu/domain-1-vm/monitor.sock".utf8.count

    /// - Throws: `LaunchError` when the sockets of sandbox `id` would have paths that are too long.
    static func requireRoom(for id: String, in base: String) throws(LaunchError) {
        let path = "\(base)/\(id)"
        guard path.utf8.count + longestSuffixInBytes <= UnixSocket.longestPathInBytes else {
            let room = UnixSocket.longestPathInBytes - longestSuffixInBytes
            throw LaunchError(
                "the state directory \(path) is too long for the unix sockets in it (\(path.utf8.count) bytes, at most \(room)); "
                    + "choose a shorter name, or a shorter state_directory in the configuration")
        }
    }

    /// Makes the directory `id`, so that it appears with its lock held.
    public static func claim(_ id: String, in base: String) throws(LaunchError) -> (path: String, lock: FileDescriptor)
    {
        let path = "\(base)/\(id)"
        try requireRoom(for: id, in: base)
        do {
            try Files.makeDirectories(base, mode: 0o711)
            // One at a time: between the making of a lock and its locking it looks like one that was left behind.
            let turn = try FileDescriptor.open(base, O_RDONLY | O_DIRECTORY)
            let turnNumber = turn.raw
            try syscall("flock", base) { cs_flock(turnNumber, LOCK_EX) }
            sweep(base)
            let fresh = "\(base)/.new-\(getpid())-\(UInt32.random(in: 0 ... .max))"
            try syscall("mkdir", fresh) { mkdir(fresh, 0o711) }
            try syscall("chmod", fresh) { chmod(fresh, 0o711) }
            let lock = try FileDescriptor.open("\(fresh)/\(lockName)", O_RDWR | O_CREAT)
            let fd = lock.raw
            try syscall("flock", fresh) { cs_flock(fd, LOCK_EX | LOCK_NB) }
            if rename(fresh, path) == 0 { return (path, lock) }
            let error = SystemError("rename", path)
            try? Files.removeTree(fresh)
            if error.errno == ENOTEMPTY || error.errno == EEXIST {
                throw LaunchError(
                    "the name \"\(id)\" is in use by a running sandbox; choose another with --name, or stop that one")
            }
            throw error
        } catch let error as LaunchError { throw error } catch {
            throw LaunchError(
                "the state directory cannot be used: \(error); set state_directory in the configuration to one that can"
            )
        }
    }

    /// Removes what a power cut or a kill of every process of a sandbox left behind.
    private static func sweep(_ base: String) {
        for name in (try? Files.list(base)) ?? [] {
            let path = "\(base)/\(name)"
            // A directory without its lock file is being made at this moment.
            guard let lock = try? FileDescriptor.open("\(path)/\(lockName)", O_RDWR) else { continue }
            if cs_flock(lock.raw, LOCK_EX | LOCK_NB) == 0 { try? Files.removeTree(path) }
        }
    }
}

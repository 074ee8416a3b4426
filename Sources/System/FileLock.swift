import Glibc

/// A lock on a file, `flock(2)`: advisory, between processes and between threads alike, gone with its holder however that
/// ends. Held as long as the object lives.
public final class FileLock: Sendable {
    public let path: String
    private let file: FileDescriptor

    private init(path: String, file: FileDescriptor) {
        self.path = path
        self.file = file
    }

    public enum Mode: Sendable { case shared, exclusive }

    /// Waits for the lock, creating the file where there is none.
    /// - Parameter permissions: of a file that is created.
    public static func acquire(
        _ path: String, _ mode: Mode, permissions: mode_t = 0o644
    ) throws(SystemError) -> FileLock {
        while true {
            if let lock = try attempt(path, mode, wait: true, permissions: permissions) { return lock }
        }
    }

    /// Waits for the lock, after `waiting` where somebody else holds it.
    public static func acquire(
        _ path: String, _ mode: Mode, waiting: () -> Void
    ) throws(SystemError) -> FileLock {
        if let lock = try tryAcquire(path, mode) { return lock }
        waiting()
        return try acquire(path, mode)
    }

    /// Whether somebody holds a lock on a file. Nobody holds one that is not there.
    public static func isHeld(_ path: String) -> Bool {
        guard let file = try? FileDescriptor.open(path, O_RDONLY) else { return false }
        return flock(file.raw, LOCK_EX | LOCK_NB) != 0
    }

    /// - Returns: nil when somebody else holds the lock.
    public static func tryAcquire(
        _ path: String, _ mode: Mode, permissions: mode_t = 0o644
    ) throws(SystemError) -> FileLock? {
        // Whoever removed a lock file while holding its lock has let go of it, so the second attempt is decisive enough.
        for _ in 0..<2 {
            if let lock = try attempt(path, mode, wait: false, permissions: permissions) { return lock }
        }
        return nil
    }

    /// Gives the lock up before the object goes.
    public func release() { file.close() }

    /// nil: busy, or the file was removed or replaced between opening and locking it, so that what was locked is not
    /// what others will find under this name.
    private static func attempt(
        _ path: String, _ mode: Mode, wait: Bool, permissions: mode_t
    ) throws(SystemError) -> FileLock? {
        let file: FileDescriptor
        do throws(SystemError) {
            file = try FileDescriptor.open(path, O_RDWR | O_CREAT, mode: permissions)
        } catch {
            // A shared lock may be taken by those who may only read.
            guard error.errno == EACCES || error.errno == EROFS, mode == .shared else { throw error }
            file = try FileDescriptor.open(path, O_RDONLY)
        }
        let fd = file.raw
        let operation = (mode == .shared ? LOCK_SH : LOCK_EX) | (wait ? 0 : LOCK_NB)
        do throws(SystemError) { try syscall("flock", path) { flock(fd, operation) } } catch {
            if error.errno == EWOULDBLOCK { return nil }
            throw error
        }
        var locked = stat()
        var named = stat()
        guard fstat(fd, &locked) == 0, stat(path, &named) == 0, locked.st_ino == named.st_ino,
            locked.st_dev == named.st_dev
        else { return nil }
        return FileLock(path: path, file: file)
    }
}

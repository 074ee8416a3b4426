import Glibc
import System

/// A blob on its way from a registry, in a file that outlives this process, so that the next attempt goes on where this one
/// stopped. Locked: one process at a time fetches a blob, and whoever else wants it waits for that.
final class PartialBlob {
    enum Beginning {
        /// It is in the store already, perhaps since a moment ago.
        case stored
        case fetch(PartialBlob)
    }

    let digest: Digest
    /// What it must be in the end.
    let expectedSize: Int64
    private let path: String
    private let file: FileDescriptor
    private let lock: FileLock
    private var hasher = SHA256()
    /// What is there so far.
    private(set) var size: Int64 = 0
    /// What was there when this began.
    private(set) var resumed: Int64 = 0

    /// - Parameter waiting: called before waiting for another process.
    static func begin(
        _ digest: Digest, size: Int64, in store: ContentStore, waiting: () -> Void
    ) throws -> Beginning {
        if store.has(digest, size: size) { return .stored }
        let path = "\(store.location.partial)/\(digest.hex)"
        let lock = try FileLock.acquire(path, .exclusive, waiting: waiting)
        if store.has(digest, size: size) {
            unlink(path)
            return .stored
        }
        return .fetch(try PartialBlob(digest, size: size, path: path, lock: lock))
    }

    private init(_ digest: Digest, size expectedSize: Int64, path: String, lock: FileLock) throws {
        self.digest = digest
        self.expectedSize = expectedSize
        self.path = path
        self.lock = lock
        file = try FileDescriptor.open(path, O_RDWR)
        var info = stat()
        try syscall("fstat", path) { fstat(file.raw, &info) }
        if Int64(info.st_size) > expectedSize { try restart() } else { try readBack() }
    }

    /// Hashes what an earlier attempt left.
    private func readBack() throws {
        try file.forEachPiece {
            hasher.update($0)
            size += Int64($0.count)
        }
        resumed = size
    }

    /// Forgets what is there.
    func restart() throws {
        let fd = file.raw
        try syscall("ftruncate", path) { ftruncate(fd, 0) }
        try syscall("lseek", path) { lseek(fd, 0, SEEK_SET) }
        hasher = SHA256()
        (size, resumed) = (0, 0)
    }

    /// Takes bytes that belong at a place; what is there already is passed over.
    func accept(_ position: Int64, _ bytes: UnsafeRawBufferPointer) throws {
        guard position <= size else {
            throw ImageError(
                "layer \(digest.short) came with a gap: \(position) where \(size) was expected; pull it again")
        }
        let known = min(Int(size - position), bytes.count)
        let new = UnsafeRawBufferPointer(rebasing: bytes[known...])
        guard size + Int64(new.count) <= expectedSize else {
            throw ImageError(
                "layer \(digest) is longer than the \(expectedSize) bytes its manifest says; the registry is damaged or lies"
            )
        }
        try file.writeAll(new, path: path)
        hasher.update(new)
        size += Int64(new.count)
    }

    /// Makes it content of the store. - Returns: false when its bytes are not what its name says; then nothing is left of it.
    func finish(in store: ContentStore) throws -> Bool {
        guard hasher.finish() == digest else {
            try restart()
            return false
        }
        let fd = file.raw
        try syscall("fsync", path) { fsync(fd) }
        try syscall("fchmod", path) { fchmod(fd, 0o644) }
        let target = store.location.blob(digest)
        try syscall("rename", target) { rename(path, target) }
        return true
    }

    /// Removes what is left of others' attempts and has not grown for so long.
    static func collect(_ location: StoreLocation, olderThan seconds: Int64) throws {
        for name in try Files.list(location.partial) {
            let path = "\(location.partial)/\(name)"
            var info = stat()
            guard lstat(path, &info) == 0, Clock.realtime.components.seconds - Int64(info.st_mtim.tv_sec) >= seconds,
                let lock = try? FileLock.tryAcquire(path, .exclusive)
            else { continue }
            unlink(path)
            lock.release()
        }
    }
}

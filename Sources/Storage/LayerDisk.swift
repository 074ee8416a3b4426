import Glibc
import System

/// A layer's read-only disk in use. While the object lives, no collection removes the file: the file is locked, shared,
/// and the lock goes with the process that holds it.
public final class LayerDisk: Sendable {
    public let path: String
    private let file: FileDescriptor

    /// - Throws: `StorageError` when the disk is gone, so that the image is to be unpacked again.
    public init(_ path: String) throws {
        self.path = path
        do { file = try FileDescriptor.open(path, O_RDONLY) } catch {
            throw StorageError(
                "layer disk \(path) cannot be opened (\(error)); run the container again to unpack it anew")
        }
        let fd = file.raw
        try syscall("flock", path) { flock(fd, LOCK_SH) }
        var held = stat()
        var named = stat()
        guard fstat(fd, &held) == 0, stat(path, &named) == 0, held.st_ino == named.st_ino else {
            throw StorageError("layer disk \(path) was removed just now; run the container again to unpack it anew")
        }
    }

    /// Removes a disk unless it is in use. - Returns: the bytes of disk it occupied, or nil when it is in use.
    public static func removeUnlessUsed(_ path: String) -> Int64? {
        guard let file = try? FileDescriptor.open(path, O_RDONLY) else { return 0 }
        guard flock(file.raw, LOCK_EX | LOCK_NB) == 0 else { return nil }
        var info = stat()
        _ = fstat(file.raw, &info)
        unlink(path)
        return Int64(info.st_blocks) * 512
    }
}

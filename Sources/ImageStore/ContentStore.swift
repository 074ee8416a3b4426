import Glibc
import OCISpec
import System

/// Content by digest. Whatever stands under `blobs/` is whole and has the digest it is named by: it was written
/// elsewhere, hashed on the way, synced and renamed.
struct ContentStore: Sendable {
    let location: StoreLocation

    func has(_ digest: Digest, size: Int64? = nil) -> Bool {
        var info = stat()
        guard stat(location.blob(digest), &info) == 0 else { return false }
        return size == nil || Int64(info.st_size) == size
    }

    func size(_ digest: Digest) -> Int64? {
        var info = stat()
        return stat(location.blob(digest), &info) == 0 ? Int64(info.st_size) : nil
    }

    /// What the content hashes to, all of it read. - Throws: `SystemError`.
    func actualDigest(_ digest: Digest) throws -> Digest {
        let file = try FileDescriptor.open(location.blob(digest), O_RDONLY)
        let hasher = SHA256()
        try file.forEachPiece { hasher.update($0) }
        return hasher.finish()
    }

    /// Whether it is there and is not what its name says.
    func isDamaged(_ digest: Digest) -> Bool {
        guard let actual = try? actualDigest(digest) else { return false }
        return actual != digest
    }

    /// A document from the store, its digest checked again: disks rot, and it is small.
    func document(_ digest: Digest, what: String) throws -> [UInt8] {
        let bytes: [UInt8]
        do { bytes = try Files.read(location.blob(digest), limit: Limits.documentInBytes) } catch {
            throw ImageError("the store's \(what) \(digest) cannot be read (\(error)); load the image again")
        }
        guard Digest.of(bytes) == digest else {
            throw ImageError("the store's \(what) \(digest) is damaged; load the image again")
        }
        return bytes
    }

    /// Stores a document. - Parameter area: a temporary directory of this process.
    func put(_ bytes: [UInt8], in area: TemporaryArea) throws -> Digest {
        let writer = try BlobWriter(in: area)
        try bytes.withUnsafeBytes { try writer.write($0) }
        let digest = try writer.finish()
        try writer.publish(digest, to: self)
        return digest
    }
}

extension FileDescriptor {
    /// Hands over what is left of the file, a piece at a time, whose bytes last as long as the call.
    func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            let count = try read(into: buffer)
            if count == 0 { return }
            try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    /// - Parameter path: what the file is called in errors.
    func writeAll(_ bytes: UnsafeRawBufferPointer, path: String) throws(SystemError) {
        let fd = raw
        var done = 0
        while done < bytes.count {
            done += try syscall("write", path) {
                Glibc.write(fd, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            }
        }
    }
}

/// A blob under way to the store.
final class BlobWriter {
    private let path: String
    private let file: FileDescriptor
    private let hasher = SHA256()
    private(set) var size: Int64 = 0
    private var published = false

    init(in area: TemporaryArea) throws {
        path = area.fresh()
        file = try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o644)
    }

    deinit { if !published { unlink(path) } }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        hasher.update(bytes)
        try file.writeAll(bytes, path: path)
        size += Int64(bytes.count)
    }

    func finish() throws -> Digest {
        let fd = file.raw
        try syscall("fsync", path) { fsync(fd) }
        return hasher.finish()
    }

    /// Makes the content visible. The directory is synced by whoever names it in a reference.
    func publish(_ digest: Digest, to store: ContentStore) throws {
        // The umask may have taken what QEMU's user needs.
        let fd = file.raw
        try syscall("fchmod", path) { fchmod(fd, 0o644) }
        let target = store.location.blob(digest)
        try syscall("rename", target) { rename(path, target) }
        published = true
    }
}

/// A directory for one process's unfinished files, removed with the object; after a crash, by the next collection, which
/// can tell by the lock.
final class TemporaryArea {
    let path: String
    private let lock: FileLock
    private var count = 0

    init(_ location: StoreLocation) throws {
        let name = "\(location.temporary)/\(getpid()).\(UInt64.random(in: 0 ... .max))"
        try Files.makeDirectories(name, mode: 0o700)
        do { lock = try FileLock.acquire(name + "/lock", .exclusive) } catch {
            try? Files.removeTree(name)
            throw error
        }
        path = name
    }

    deinit { try? Files.removeTree(path) }

    func fresh() -> String {
        count += 1
        return "\(path)/\(count)"
    }
}

/// What no honest image exceeds.
enum Limits {
    /// Indexes, manifests, configurations: what containerd and registries allow.
    static let documentInBytes = 4 << 20
    /// As many as fit, and some to spare: a guest's kernel takes 255 partitions on a disk, and a page of overlayfs's options
    /// names 370 directories.
    static let layers = 200
    /// One layer, as it is in the archive.
    static let layerInBytes: Int64 = 64 << 30
    /// Entries of an archive, and images in it.
    static let archiveEntries = 65536
    static let images = 256
}

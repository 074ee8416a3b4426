import Glibc
import System

/// The writable disks of sandboxes: copies of an empty filesystem made once, which takes a millisecond or two where
/// mkfs takes ten.
public struct ScratchDisk: Sendable {
    /// As the guest sees it, unless asked for otherwise; the host's disk pays for what is written.
    public static let defaultSizeInBytes: Int64 = 10 << 30

    /// Where templates are kept; made when missing.
    let directory: String

    public init(directory: String) { self.directory = directory }

    /// Makes a fresh disk at `path`, which must not exist.
    /// - Throws: `StorageError`, `SystemError`; nothing is left behind then.
    public func make(at path: String, sizeInBytes: Int64 = defaultSizeInBytes, mode: mode_t = 0o600) throws {
        let template = try self.template(sizeInBytes: sizeInBytes)
        do { try SparseFile.copy(template, to: path, mode: mode) } catch let error as SystemError {
            if error.errno == ENOSPC || error.errno == EDQUOT {
                throw StorageError("no space left on \(Files.parent(of: path)) for a sandbox's disk; free space there")
            }
            throw error
        }
    }

    /// The template of a size, made when it is missing or damaged. Never changed once it has its name.
    func template(sizeInBytes: Int64) throws -> String {
        let path = "\(directory)/\(sizeInBytes).img"
        if isWhole(path, sizeInBytes) { return path }
        try Files.makeDirectories(directory, mode: 0o755)
        let lock = try FileLock.acquire("\(directory)/lock", .exclusive)
        defer { lock.release() }
        if isWhole(path, sizeInBytes) { return path }
        let building = path + ".building"
        try Files.removeTree(building)
        try Ext4Image.make(building, sizeInBytes: sizeInBytes)
        let file = try FileDescriptor.open(building, O_RDONLY)
        let fd = file.raw
        try syscall("fsync", building) { fsync(fd) }
        try syscall("rename", path) { rename(building, path) }
        try Files.syncDirectory(of: path)
        return path
    }

    /// A template appears by rename, so what has its name was whole; its size and ext4's magic number (0xEF53 at byte
    /// 1080) tell whether it still is.
    private func isWhole(_ path: String, _ size: Int64) -> Bool {
        guard let file = try? FileDescriptor.open(path, O_RDONLY) else { return false }
        var info = stat()
        var magic: [UInt8] = [0, 0]
        return fstat(file.raw, &info) == 0 && Int64(info.st_size) >= size && pread(file.raw, &magic, 2, 1080) == 2
            && magic == [0x53, 0xef]
    }
}

import Glibc
import System

/// What is remembered of a finished disk, to tell a damaged one from a whole one in a millisecond.
///
/// Detected always: a file that is missing, cut short or grown, replaced, or written to after it was finished (its
/// modification time, to the nanosecond), and damage to the superblock and group descriptors, and to the sampled blocks.
/// Not detected here: bits that rotted elsewhere without the filesystem's knowing; ext4's own checksums find those in
/// metadata, in the guest. Reading gigabytes at every start would.
public struct DiskProof: Codable, Equatable, Sendable {
    public var sizeInBytes: Int64
    /// Since the Unix epoch.
    public var modifiedInNanoseconds: Int64
    /// FNV-1a over the sampled blocks and their offsets, eight bytes at once: against accidents, not against whoever may
    /// write here, who may write the proof as well.
    public var fingerprint: UInt64
    public var sampledBlocks: Int

    static let samples = 64
    private static let block = 4096

    /// Reads what there is to remember. - Throws: `SystemError`.
    public init(of path: String) throws {
        let file = try FileDescriptor.open(path, O_RDONLY)
        let fd = file.raw
        var info = stat()
        try syscall("fstat", path) { fstat(fd, &info) }
        sizeInBytes = Int64(info.st_size)
        modifiedInNanoseconds = Int64(info.st_mtim.tv_sec) * 1_000_000_000 + Int64(info.st_mtim.tv_nsec)

        var extents: [(start: Int64, blocks: Int64)] = []
        var total: Int64 = 0
        try SparseFile.forEachExtent(file, path: path) { start, end in
            let blocks = (Int64(end) - Int64(start) + Int64(Self.block) - 1) / Int64(Self.block)
            extents.append((Int64(start), blocks))
            total += blocks
        }
        // The first blocks hold the superblock and the beginning of the group descriptors; the rest is spread evenly.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        var buffer = [UInt8](repeating: 0, count: Self.block)
        sampledBlocks = 0
        var wanted = Array(0..<min(Int64(8), total))
        let spread = min(Int64(Self.samples), total)
        for index in 0..<spread { wanted.append(index * total / spread) }
        var extent = 0
        var before: Int64 = 0
        for number in Set(wanted).sorted() {
            while extent < extents.count, number >= before + extents[extent].blocks {
                before += extents[extent].blocks
                extent += 1
            }
            guard extent < extents.count else { break }
            let offset = extents[extent].start + (number - before) * Int64(Self.block)
            let count = try syscall("pread", path) { pread(fd, &buffer, Self.block, off_t(offset)) }
            withUnsafeBytes(of: offset) { Self.mix(&hash, $0) }
            buffer.withUnsafeBytes { Self.mix(&hash, UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            sampledBlocks += 1
        }
        fingerprint = hash
    }

    private static func mix(_ hash: inout UInt64, _ bytes: UnsafeRawBufferPointer) {
        var offset = 0
        while offset < bytes.count {
            var word: UInt64 = 0
            withUnsafeMutableBytes(of: &word) {
                $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<min(offset + 8, bytes.count)]))
            }
            hash = (hash ^ word) &* 0x100_0000_01b3
            // Multiplication carries upwards alone; bring the high bits down to where they count again.
            hash ^= hash >> 29
            offset += 8
        }
    }
}

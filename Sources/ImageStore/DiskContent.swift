import Glibc
import Storage
import System

/// All content of a sparse disk as one digest: of each block that is not zeros, its place and its bytes. So holes that a
/// copy fills or makes change nothing.
enum DiskContent {
    private static let block = 4096

    static func digest(of path: String) throws -> Digest {
        let file = try FileDescriptor.open(path, O_RDONLY)
        let fd = file.raw
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: block)
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: block, alignment: block)
        defer {
            buffer.deallocate()
            zeros.deallocate()
        }
        guard let bytes = buffer.baseAddress, let empty = zeros.baseAddress else { throw SystemError("malloc", path) }
        memset(empty, 0, block)
        let hasher = SHA256()
        var position: Int64 = 0
        try SparseFile.forEachExtent(file, path: path) { start, end in
            // Whole blocks, each once, wherever an extent begins.
            position = max(position, Int64(start) / Int64(block) * Int64(block))
            while position < Int64(end) {
                let (from, wanted) = (position, min(buffer.count, roundedUp(Int(Int64(end) - position))))
                let count = try syscall("pread", path) { pread(fd, bytes, wanted, off_t(from)) }
                if count == 0 { break }
                for offset in stride(from: 0, to: count, by: block) {
                    let length = min(block, count - offset)
                    if memcmp(bytes + offset, empty, length) == 0 { continue }
                    withUnsafeBytes(of: (from + Int64(offset)).littleEndian) { hasher.update($0) }
                    hasher.update(UnsafeRawBufferPointer(start: bytes + offset, count: length))
                }
                position += Int64(roundedUp(count))
            }
        }
        return hasher.finish()
    }

    private static func roundedUp(_ bytes: Int) -> Int { (bytes + block - 1) / block * block }
}

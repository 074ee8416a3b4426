import CSystem
import Glibc
import System

/// Files with holes.
public enum SparseFile {
    /// Copies a file without filling its holes: shares its blocks where the filesystem can (`FICLONE`), else copies what
    /// is not a hole. `target` must not exist; nothing is left behind on failure.
    /// - Throws: `SystemError`.
    public static func copy(_ source: String, to target: String, mode: mode_t = 0o600) throws {
        let from = try FileDescriptor.open(source, O_RDONLY)
        let to = try FileDescriptor.open(target, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
        do {
            let output = to.raw
            try syscall("fchmod", target) { fchmod(output, mode) }
            if ioctl(output, ficlone, from.raw) == 0 { return }
            var info = stat()
            let input = from.raw
            try syscall("fstat", source) { fstat(input, &info) }
            try syscall("ftruncate", target) { ftruncate(output, info.st_size) }
            try forEachExtent(from, path: source) { start, end in try copyRange(input, output, start, end, target) }
        } catch {
            unlink(target)
            throw error
        }
    }

    /// Calls `body` with the bounds of each stretch of data (`SEEK_DATA`, `SEEK_HOLE` of lseek(2)), in order.
    public static func forEachExtent(
        _ file: FileDescriptor, path: String, _ body: (off_t, off_t) throws -> Void
    ) throws {
        let fd = file.raw
        var offset: off_t = 0
        while true {
            let start = lseek(fd, offset, seekData)
            if start < 0 {
                if errno == ENXIO { return }
                throw SystemError("lseek", path)
            }
            let end = try syscall("lseek", path) { lseek(fd, start, seekHole) }
            try body(start, end)
            offset = end
        }
    }

    private static func copyRange(_ input: Int32, _ output: Int32, _ start: off_t, _ end: off_t, _ path: String) throws
    {
        var buffer = [UInt8](repeating: 0, count: Int(min(end - start, 1 << 20)))
        var position = start
        while position < end {
            let wanted = min(buffer.count, Int(end - position))
            let count = try syscall("pread", path) { pread(input, &buffer, wanted, position) }
            guard count > 0 else { throw SystemError("pread", path, errno: EIO) }
            var done = 0
            while done < count {
                done += try syscall("write", path) {
                    buffer.withUnsafeBytes {
                        pwrite(output, $0.baseAddress.map { $0 + done }, count - done, position + off_t(done))
                    }
                }
            }
            position += off_t(count)
        }
    }

    // Macros, or behind _GNU_SOURCE: linux/fs.h, unistd.h.
    private static let ficlone: UInt = 0x4004_9409
    private static let seekData: Int32 = 3
    private static let seekHole: Int32 = 4
}

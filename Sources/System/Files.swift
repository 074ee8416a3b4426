import CSystem
import Glibc

/// Whole files and directories by path. Paths come from this program's own configuration, never from a guest or an image.
public enum Files {
    public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// - Parameter limit: in bytes; a larger file is an error, not a surprise for memory.
    public static func read(_ path: String, limit: Int = 16 << 20) throws(SystemError) -> [UInt8] {
        let file = try FileDescriptor.open(path, O_RDONLY)
        do { return try file.readToEnd(limit: limit) } catch { throw SystemError("read", path, errno: error.errno) }
    }

    public static func readText(_ path: String, limit: Int = 16 << 20) throws(SystemError) -> String {
        String(decoding: try read(path, limit: limit), as: UTF8.self)
    }

    /// Creates or truncates. Not atomic: see `replace`.
    public static func write(_ path: String, _ bytes: [UInt8], mode: mode_t = 0o600) throws(SystemError) {
        let file = try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
        do { try file.writeAll(bytes) } catch { throw SystemError("write", path, errno: error.errno) }
    }

    public static func write(_ path: String, _ text: String, mode: mode_t = 0o600) throws(SystemError) {
        try write(path, Array(text.utf8), mode: mode)
    }

    /// Replaces a file so that a reader, or a crash at any moment, sees the old content or the new, whole.
    public static func replace(_ path: String, _ bytes: [UInt8], mode: mode_t = 0o600) throws(SystemError) {
        let temporary = "\(path).tmp.\(getpid()).\(UInt32.random(in: 0 ... .max))"
        do throws(SystemError) {
            let file = try FileDescriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
            try file.writeAll(bytes)
            let fd = file.raw
            try syscall("fsync", temporary) { fsync(fd) }
            try syscall("rename", path) { rename(temporary, path) }
            try syncDirectory(of: path)
        } catch {
            unlink(temporary)
            throw error
        }
    }

    /// Makes a rename or creation in the directory that holds `path` durable.
    public static func syncDirectory(of path: String) throws(SystemError) {
        let directory = parent(of: path)
        let fd = try FileDescriptor.open(directory, O_RDONLY | O_DIRECTORY)
        let raw = fd.raw
        try syscall("fsync", directory) { fsync(raw) }
    }

    public static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// `mkdir -p`; directories that exist are left as they are.
    public static func makeDirectories(_ path: String, mode: mode_t = 0o700) throws(SystemError) {
        if mkdir(path, mode) == 0 { return }
        let code = errno
        switch code {
        case EEXIST: return
        case ENOENT where parent(of: path) != path:
            try makeDirectories(parent(of: path), mode: mode)
            if mkdir(path, mode) != 0 && errno != EEXIST { throw SystemError("mkdir", path) }
        default: throw SystemError("mkdir", path, errno: code)
        }
    }

    /// Names in a directory, without `.` and `..`, in no order. A name that is not UTF-8 comes with its bytes replaced, so
    /// it names nothing any more: what has to reach every file works on bytes, as `removeTree` does.
    public static func list(_ path: String) throws(SystemError) -> [String] {
        guard let directory = opendir(path) else { throw SystemError("opendir", path) }
        defer { closedir(directory) }
        return names(in: directory).map(text)
    }

    /// As the file system has them, with their terminating zero.
    static func names(in directory: OpaquePointer) -> [[CChar]] {
        var names: [[CChar]] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                    Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1))
                }
            }
            if name != [0x2E, 0] && name != [0x2E, 0x2E, 0] { names.append(name) }
        }
        return names
    }

    static func text(_ name: [CChar]) -> String {
        String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

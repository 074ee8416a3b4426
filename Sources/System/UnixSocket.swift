import CSystem
import Glibc

/// Unix stream sockets by path.
public enum UnixSocket {
    /// The longest path `sockaddr_un` takes (unix(7)): 107 bytes and a NUL.
    public static let longestPathInBytes = 107

    /// Binds and listens at `path`. - Throws: `SystemError`; `ENAMETOOLONG` for a path beyond `longestPathInBytes`.
    public static func listen(_ path: String, backlog: Int32 = 128) throws(SystemError) -> FileDescriptor {
        let socket = try make()
        let fd = socket.raw
        try withAddress(path) { address, length throws(SystemError) in
            try syscall("bind", path) { bind(fd, address, length) }
        }
        try syscall("listen", path) { Glibc.listen(fd, backlog) }
        return socket
    }

    public static func connect(_ path: String) throws(SystemError) -> FileDescriptor {
        let socket = try make()
        let fd = socket.raw
        try withAddress(path) { address, length throws(SystemError) in
            try syscall("connect", path) { Glibc.connect(fd, address, length) }
        }
        return socket
    }

    public static func accept(_ listener: FileDescriptor) throws(SystemError) -> FileDescriptor {
        let fd = listener.raw
        return FileDescriptor(try syscall("accept") { cs_accept(fd) })
    }

    private static func make() throws(SystemError) -> FileDescriptor {
        FileDescriptor(
            try syscall("socket") { socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0) })
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) throws(SystemError) -> Void
    ) throws(SystemError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count <= longestPathInBytes else { throw SystemError("bind", path, errno: ENAMETOOLONG) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let result: Result<Void, SystemError> = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                do throws(SystemError) {
                    return .success(try body(pointer, socklen_t(MemoryLayout<sockaddr_un>.size)))
                } catch { return .failure(error) }
            }
        }
        try result.get()
    }
}

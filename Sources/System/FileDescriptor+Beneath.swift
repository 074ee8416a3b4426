import CSystem
import Glibc

extension FileDescriptor {
    /// Opens a path that an image or a guest names, below this directory: neither `..` nor a link leads out of it
    /// (`openat2(2)`, RESOLVE_BENEATH).
    /// - Throws: `SystemError`; `EXDEV` for a path that would leave.
    public func openBeneath(_ path: String, _ flags: Int32, mode: mode_t = 0o600) throws(SystemError) -> FileDescriptor
    {
        let fd = raw
        return FileDescriptor(try syscall("open", path) { cs_openat_beneath(fd, path, flags | O_CLOEXEC, mode) })
    }
}

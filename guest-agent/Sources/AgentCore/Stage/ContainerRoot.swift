import CAgent
import Glibc
import System

/// A container's root directory as a descriptor. Every path an image or a specification names is resolved in it by the
/// kernel (openat2(2), `RESOLVE_IN_ROOT`), so that neither `..` nor a symbolic link leads out.
struct ContainerRoot {
    let descriptor: FileDescriptor

    init(_ path: String) throws(SystemError) { descriptor = try FileDescriptor.open(path, ca_o_path | ca_o_directory) }

    /// Opens what is there; without other flags as a handle only (`O_PATH`).
    func open(_ path: String, _ flags: Int32 = ca_o_path) throws(SystemError) -> FileDescriptor {
        let root = descriptor.raw
        return FileDescriptor(try syscall("open", path) { ca_open_in_root(root, path, flags, 0) })
    }

    /// Opens a directory, making it and those above it where they are missing.
    @discardableResult
    func makeDirectory(_ path: String, mode: mode_t = 0o755) throws(SystemError) -> FileDescriptor {
        do { return try open(path, ca_o_path | ca_o_directory) } catch {
            let (parent, name) = Self.split(path)
            guard error.errno == ENOENT, !name.isEmpty else { throw error }
            let directory = try makeDirectory(parent, mode: mode)
            if mkdirat(directory.raw, name, mode) != 0 && errno != EEXIST { throw SystemError("mkdir", path) }
            return try open(path, ca_o_path | ca_o_directory)
        }
    }

    /// Opens a file as a handle, making it and the directories above it where they are missing.
    func makeFile(_ path: String) throws(SystemError) -> FileDescriptor {
        do { return try open(path) } catch {
            let (parent, name) = Self.split(path)
            guard error.errno == ENOENT, !name.isEmpty else { throw error }
            let directory = try makeDirectory(parent)
            if mknodat(directory.raw, name, S_IFREG | 0o644, 0) != 0 && errno != EEXIST { throw SystemError("create", path) }
            return try open(path)
        }
    }

    /// Parent and last component; the root itself has no last component.
    static func split(_ path: String) -> (parent: String, name: String) {
        let parts = path.split(separator: "/")
        guard let last = parts.last else { return ("/", "") }
        return ("/" + parts.dropLast().joined(separator: "/"), String(last))
    }

    /// The name by which mount(2) reaches an open handle; the guest's `/proc` must still be at its place.
    static func path(of handle: FileDescriptor) -> String { "/proc/self/fd/\(handle.raw)" }
}

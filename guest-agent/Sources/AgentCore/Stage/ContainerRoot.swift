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
        try make(path, ca_o_path | ca_o_directory, links: Self.mostLinks) { mkdirat($0, $1, mode) }
    }

    /// Opens a file as a handle, making it and the directories above it where they are missing.
    func makeFile(_ path: String) throws(SystemError) -> FileDescriptor {
        try make(path, ca_o_path, links: Self.mostLinks) { mknodat($0, $1, S_IFREG | 0o644, 0) }
    }

    /// As many as the kernel follows (path_resolution(7)).
    private static let mostLinks = 40

    private func make(_ path: String, _ flags: Int32, links: Int, _ create: (Int32, String) -> Int32)
        throws(SystemError) -> FileDescriptor
    {
        do { return try open(path, flags) } catch {
            let (parent, name) = Self.split(path)
            guard error.errno == ENOENT, !name.isEmpty else { throw error }
            let directory = try makeDirectory(parent)
            if create(directory.raw, name) == 0 { return try open(path, flags) }
            guard errno == EEXIST else { throw SystemError("create", path) }
            // A link to what is not there, as images' /var/run and /etc/resolv.conf are: its target is made.
            guard links > 0, let target = Self.readLink(directory, name) else { throw error }
            return try make(target.hasPrefix("/") ? target : "\(parent)/\(target)", flags, links: links - 1, create)
        }
    }

    private static func readLink(_ directory: FileDescriptor, _ name: String) -> String? {
        var text = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlinkat(directory.raw, name, &text, text.count)
        return count > 0 ? String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
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

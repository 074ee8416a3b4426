import CAgent
import Glibc
import System

/// Copies a directory's contents onto a fresh tmpfs (`tmpcopyup`): files, directories and symbolic links with owner and
/// mode. Descriptor by descriptor, so that no link is followed.
enum CopyUp {
    static func copyContents(of source: FileDescriptor, to target: FileDescriptor) throws(SystemError) {
        for name in try names(in: source) { try copy(name, from: source, to: target) }
        try copyOwnerAndMode(from: source, to: target)
    }

    private static func copy(_ name: String, from source: FileDescriptor, to target: FileDescriptor) throws(SystemError)
    {
        let (from, to) = (source.raw, target.raw)
        var info = stat()
        try syscall("stat", name) { fstatat(from, name, &info, AT_SYMLINK_NOFOLLOW) }
        switch info.st_mode & S_IFMT {
        case S_IFDIR:
            try syscall("mkdir", name) { mkdirat(to, name, 0o700) }
            let flags = O_RDONLY | ca_o_directory | ca_o_nofollow
            try copyContents(of: try open(from, name, flags), to: try open(to, name, flags))
        case S_IFLNK:
            var text = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
            try syscall("readlink", name) { readlinkat(from, name, &text, Int(PATH_MAX)) }
            try syscall("symlink", name) { symlinkat(text, to, name) }
            try syscall("chown", name) { fchownat(to, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) }
        case S_IFREG:
            let input = try open(from, name, O_RDONLY | ca_o_nofollow)
            let output = try open(to, name, O_WRONLY | O_CREAT | O_EXCL | ca_o_nofollow)
            let (reading, writing) = (input.raw, output.raw)
            while try syscall("copy", name, { sendfile(writing, reading, nil, 1 << 20) }) > 0 {}
            try copyOwnerAndMode(from: input, to: output)
        default:
            // Sockets, pipes and devices belong to whoever made them and not to a copy.
            break
        }
    }

    private static func copyOwnerAndMode(from source: FileDescriptor, to target: FileDescriptor) throws(SystemError) {
        var info = stat()
        let (from, to) = (source.raw, target.raw)
        try syscall("stat") { fstat(from, &info) }
        try syscall("chown") { fchown(to, info.st_uid, info.st_gid) }
        try syscall("chmod") { fchmod(to, info.st_mode & 0o7777) }
    }

    private static func open(_ directory: Int32, _ name: String, _ flags: Int32) throws(SystemError) -> FileDescriptor {
        FileDescriptor(try syscall("open", name) { ca_openat(directory, name, flags, 0o600) })
    }

    private static func names(in directory: FileDescriptor) throws(SystemError) -> [String] {
        // closedir closes the descriptor it was given.
        let copy = try open(directory.raw, ".", O_RDONLY | ca_o_directory).release()
        guard let stream = fdopendir(copy) else { throw SystemError("opendir") }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}

import Glibc

extension Files {
    /// `rm -rf`, not crossing symbolic links, whatever bytes the names are of; what is not there, or goes away meanwhile, is
    /// not an error. Each level of directories takes a descriptor while what is below it goes.
    public static func removeTree(_ path: String) throws(SystemError) {
        try remove(Array(path.utf8CString), in: AT_FDCWD, path)
    }

    /// - Parameter path: for the error.
    private static func remove(_ name: [CChar], in parent: Int32, _ path: String) throws(SystemError) {
        if unlinkat(parent, name, 0) == 0 || errno == ENOENT { return }
        let code = errno
        if removeEmpty(name, in: parent) { return }
        guard errno == ENOTEMPTY else {
            throw SystemError("remove", path, errno: errno == ENOTDIR ? code : errno)
        }
        let fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if fd < 0 && errno == ENOENT { return }
        guard fd >= 0, let directory = fdopendir(fd) else { throw SystemError("opendir", path) }
        defer { closedir(directory) }
        for child in names(in: directory) { try remove(child, in: fd, "\(path)/\(text(child))") }
        if !removeEmpty(name, in: parent) { throw SystemError("remove", path) }
    }

    /// - Returns: whether there is no such directory any more; `errno` says why not.
    private static func removeEmpty(_ name: [CChar], in parent: Int32) -> Bool {
        unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT
    }
}

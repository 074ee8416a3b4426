import CLayerUnpack
import Glibc
import System

/// Extended attributes, and the marks that overlayfs reads.
extension LayerTree {
    /// The named siblings in lower layers are gone: a character device 0:0. Whiteouts say nothing of the layer they are
    /// in, so a sibling of this layer stays, and of a directory only what lower layers have in it is hidden.
    func addWhiteout(_ path: EntryPath, _ name: [CChar]) throws(LayerUnpackError) {
        let parent = try openParent(path)
        if mknodat(parent, name, S_IFCHR, 0) == 0 { return }
        let code = errno
        guard code == EEXIST else { throw .call("mknod", errno: code, entry: path.description) }
        var info = stat()
        try check("fstatat", path) { fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) }
        if info.st_mode & S_IFMT == S_IFDIR { try setOpaque("/proc/self/fd/\(parent)/", name, path) }
    }

    func addOpaque(_ path: EntryPath) throws(LayerUnpackError) {
        let parent = try openParent(path)
        try setOpaque("/proc/self/fd/\(parent)", nil, path)
    }

    func setOpaque(_ prefix: String, _ name: [CChar]?, _ path: EntryPath) throws(LayerUnpackError) {
        let mark = ExtendedAttribute(name: "trusted.overlay.opaque", value: [UInt8(ascii: "y")])
        if let name { try set(mark, at: prefix, name, path) } else { try set(mark, at: prefix, path) }
    }

    /// Sets an attribute on an open file.
    func set(_ attribute: ExtendedAttribute, at path: String, _ entry: EntryPath) throws(LayerUnpackError) {
        try report(attribute, setxattr(path, attribute.name, attribute.value, attribute.value.count, 0), entry)
    }

    /// Sets an attribute on a name in a directory, of a link itself: there is no lsetxattrat(2).
    func set(
        _ attribute: ExtendedAttribute, at directory: String, _ name: [CChar], _ entry: EntryPath
    ) throws(LayerUnpackError) {
        let path = directory.utf8.map { CChar(bitPattern: $0) } + name
        try report(attribute, lsetxattr(path, attribute.name, attribute.value, attribute.value.count, 0), entry)
    }

    private func report(
        _ attribute: ExtendedAttribute, _ result: Int32, _ entry: EntryPath
    ) throws(LayerUnpackError) {
        if result == 0 { return }
        let code = errno
        let name = printable(attribute.name.utf8)
        switch code {
        // The kernel or the filesystem has no such namespace: so it is for container engines.
        case EOPNOTSUPP: return
        case ENOSPC where hasSpace, E2BIG, ERANGE:
            throw .refused(entry: entry.description, reason: "its extended attribute \(name) is too large")
        case EINVAL, EPERM:
            throw .refused(
                entry: entry.description,
                reason: "the kernel does not accept its extended attribute \(name): \(String(cString: strerror(code)))")
        default: throw .call("setxattr \(name)", errno: code, entry: entry.description)
        }
    }

    /// ext4 says "no space" of an attribute that does not fit its block, too.
    private var hasSpace: Bool {
        var info = statvfs()
        return fstatvfs(root, &info) == 0 && info.f_bavail > 16
    }
}

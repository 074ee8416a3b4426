import CLayerUnpack
import Glibc
import System

/// The tree a layer is unpacked into. One thread's, and nobody else writes to the tree meanwhile.
///
/// Every path of the archive is resolved by the kernel with the tree as its root (openat2, RESOLVE_IN_ROOT), and only
/// to open the directory an entry lies in; the entry itself is made by name in that directory, never through a link.
final class LayerTree {
    let root: Int32
    private(set) var contentInBytes: UInt64 = 0
    /// Of the finished tree.
    var impliedDirectories: UInt64 = 0

    /// The directory of the last entry: archives are in order, so most entries need no look-up.
    var parentFD: Int32 = -1
    var parentPath: [CChar] = []
    var parentIsSetgid = false

    /// Directories' times and default access control lists, by inode number: set at the end, since making what is in
    /// them changes the one and inherits the other.
    var pending: [ino_t: Pending] = [:]
    struct Pending {
        let path: EntryPath
        let modified: timespec
        let defaultList: ExtendedAttribute?
    }

    /// Directories made for what lies in them and not named yet, by inode number, with their components.
    var implicit: [ino_t: [[CChar]]] = [:]

    /// Permission bits that open(2) and mkdir(2) give as asked.
    private let effectiveBits: mode_t

    init(root: Int32) {
        self.root = root
        var bits: mode_t = 0
        let probe = lu_open_unnamed(root, 0o777)
        if probe >= 0 {
            var info = stat()
            if fstat(probe, &info) == 0 { bits = info.st_mode & 0o777 }
            close(probe)
        }
        effectiveBits = bits
        // Made by mkfs for its checker, and no part of any layer.
        unlinkat(root, "lost+found", AT_REMOVEDIR)
    }

    deinit { if parentFD >= 0 { close(parentFD) } }

    func add(_ entry: TarEntry, from reader: TarReader) throws(LayerUnpackError) {
        guard let raw = entry.path else { throw .damaged("an entry has no name") }
        guard let path = EntryPath(raw) else {
            throw .refused(entry: name(of: raw), reason: "its path leads out of the layer")
        }
        switch EntryRole(path) {
        case .ignored: return
        case .invalid:
            throw .refused(entry: path.description, reason: "names that begin with .wh. are for whiteouts")
        case .opaque: return try addOpaque(path)
        case .whiteout(let name): return try addWhiteout(path, name)
        case .content: break
        }
        if let target = entry.hardLink { return try addHardLink(path, to: target) }
        if path.isRoot && entry.kind != .directory {
            throw .refused(entry: "/", reason: "the layer's root can only be a directory")
        }
        switch entry.kind {
        case .file: try addFile(path, entry, from: reader)
        case .directory: try addDirectory(path, entry)
        case .symbolicLink: try addSymbolicLink(path, entry)
        case .characterDevice: try addNode(path, entry, S_IFCHR)
        case .blockDevice: try addNode(path, entry, S_IFBLK)
        case .fifo: try addNode(path, entry, S_IFIFO)
        case .socket: return
        case .unknown: throw .refused(entry: path.description, reason: "it is of no kind that a layer can have")
        }
    }

    /// Sets what had to wait for the last entry.
    func finish() throws(LayerUnpackError) {
        for (inode, item) in pending {
            // A directory that can no longer be reached by its path, or has made way for another, is not worth an
            // error.
            let fd = lu_open_readable_in_root(root, item.path.whole)
            if fd < 0 { continue }
            defer { close(fd) }
            var info = stat()
            guard fstat(fd, &info) == 0, info.st_ino == inode else { continue }
            if let list = item.defaultList { try set(list, at: "/proc/self/fd/\(fd)", item.path) }
            try setTimes(fd, item.modified, item.path)
        }
        pending = [:]
        try markImplicit()
    }

    // MARK: Kinds of entries

    private func addFile(_ path: EntryPath, _ entry: TarEntry, from reader: TarReader) throws(LayerUnpackError) {
        let parent = try openParent(path)
        let mode = entry.permissions
        // Closed to others until its owner is known.
        let isSimple = mode & ~effectiveBits == 0
        let fd = try replacing(path, "open") {
            openat(parent, path.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, isSimple ? mode : 0o600)
        }
        defer { close(fd) }

        var end: Int64 = 0
        try reader.forEachPiece(of: entry) { (bytes, offset) throws(LayerUnpackError) in
            var done = 0
            while done < bytes.count {
                done += try check("write", path) {
                    pwrite(fd, bytes.baseAddress.map { $0 + done }, bytes.count - done, Int(offset) + done)
                }
            }
            contentInBytes += UInt64(bytes.count)
            if !bytes.isEmpty { end = max(end, offset + Int64(bytes.count)) }
        }
        // A hole at the end.
        if entry.sizeInBytes > end { try check("ftruncate", path) { ftruncate(fd, Int(entry.sizeInBytes)) } }

        let owner = try ownership(entry, path)
        if let owner { try check("fchown", path) { fchown(fd, owner.user, owner.group) } }
        if !isSimple { try check("fchmod", path) { fchmod(fd, mode) } }
        // After the owner: changing that takes capabilities away.
        if entry.hasAttributes {
            for attribute in entry.attributes() { try set(attribute, at: "/proc/self/fd/\(fd)", path) }
        }
        try setTimes(fd, entry.modified, path)
    }

    private func addDirectory(_ path: EntryPath, _ entry: TarEntry) throws(LayerUnpackError) {
        var fd = root
        if !path.isRoot {
            let parent = try openParent(path)
            if mkdirat(parent, path.name, 0o700) != 0 {
                let code = errno
                guard code == EEXIST else { throw .call("mkdir", errno: code, entry: path.description) }
                if try information(path, parent).st_mode & S_IFMT != S_IFDIR {
                    // What the layers below have of that name was hidden by what is replaced, and stays so.
                    try remove(path.name, in: parent, path)
                    try check("mkdir", path) { mkdirat(parent, path.name, 0o700) }
                    try setOpaque("/proc/self/fd/\(parent)/", path.name, path)
                }
            }
            fd = try check("open", path) {
                openat(parent, path.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            }
        }
        defer { if fd != root { close(fd) } }
        let user = try identity(entry.owner, path)
        let group = try identity(entry.group, path)
        var info = stat()
        try check("fstat", path) { fstat(fd, &info) }
        if info.st_uid != user || info.st_gid != group { try check("fchown", path) { fchown(fd, user, group) } }
        try check("fchmod", path) { fchmod(fd, entry.permissions) }
        var defaultList: ExtendedAttribute?
        if entry.hasAttributes {
            for attribute in entry.attributes() {
                if attribute.isDefaultList {
                    defaultList = attribute
                } else {
                    try set(attribute, at: "/proc/self/fd/\(fd)", path)
                }
            }
        }
        pending[info.st_ino] = Pending(path: path, modified: entry.modified, defaultList: defaultList)
        implicit[info.st_ino] = nil
        // It may be the directory of which this was remembered.
        parentIsSetgid = parentIsSetgid || entry.permissions & S_ISGID != 0
    }

    private func addSymbolicLink(_ path: EntryPath, _ entry: TarEntry) throws(LayerUnpackError) {
        guard let target = entry.symbolicLink, target.pointee != 0 else {
            throw .refused(entry: path.description, reason: "it is a symbolic link to nothing")
        }
        let parent = try openParent(path)
        try replacing(path, "symlink") { symlinkat(target, parent, path.name) }
        try setMetadata(path, entry, parent, mode: nil)
    }

    private func addNode(_ path: EntryPath, _ entry: TarEntry, _ type: mode_t) throws(LayerUnpackError) {
        let parent = try openParent(path)
        try replacing(path, "mknod") {
            mknodat(parent, path.name, type | 0o600, type == S_IFIFO ? 0 : entry.device)
        }
        try setMetadata(path, entry, parent, mode: entry.permissions)
    }

    private func addHardLink(_ path: EntryPath, to raw: UnsafePointer<CChar>) throws(LayerUnpackError) {
        guard let target = EntryPath(raw), !target.isRoot else {
            throw .refused(
                entry: path.description, reason: "it is a hard link out of the layer, to \"\(name(of: raw))\"")
        }
        let parent = try openParent(path)
        var source = parent
        if target.parent != path.parent {
            source = lu_open_in_root(root, target.parent.count == 1 ? [46, 0] : target.parent)
        }
        defer { if source >= 0 && source != parent { close(source) } }
        var info = stat()
        guard source >= 0, fstatat(source, target.name, &info, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw .refused(
                entry: path.description,
                reason: "it is a hard link to \"\(target.description)\", which is not in the layer before it")
        }
        if info.st_mode & S_IFMT == S_IFDIR {
            throw .refused(
                entry: path.description, reason: "it is a hard link to \"\(target.description)\", a directory")
        }
        var existing = stat()
        if fstatat(parent, path.name, &existing, AT_SYMLINK_NOFOLLOW) == 0 {
            if existing.st_ino == info.st_ino { return }
            try remove(path.name, in: parent, path)
        }
        try check("link", path) { linkat(source, target.name, parent, path.name, 0) }
    }

    // MARK: Metadata

    /// Of an entry that cannot be opened.
    private func setMetadata(
        _ path: EntryPath, _ entry: TarEntry, _ parent: Int32, mode: mode_t?
    ) throws(LayerUnpackError) {
        if let owner = try ownership(entry, path) {
            try check("fchownat", path) {
                fchownat(parent, path.name, owner.user, owner.group, AT_SYMLINK_NOFOLLOW)
            }
        }
        if let mode { try check("fchmodat", path) { fchmodat(parent, path.name, mode, 0) } }
        if entry.hasAttributes {
            for attribute in entry.attributes() {
                try set(attribute, at: "/proc/self/fd/\(parent)/", path.name, path)
            }
        }
        let times = [entry.modified, entry.modified]
        try check("utimensat", path) { utimensat(parent, path.name, times, AT_SYMLINK_NOFOLLOW) }
    }

    private func setTimes(_ fd: Int32, _ modified: timespec, _ path: EntryPath) throws(LayerUnpackError) {
        let times = [modified, modified]
        try check("futimens", path) { futimens(fd, times) }
    }

    /// - Returns: nil when a new file has the right owner already.
    private func ownership(
        _ entry: TarEntry, _ path: EntryPath
    ) throws(LayerUnpackError) -> (user: uid_t, group: gid_t)? {
        let user = try identity(entry.owner, path)
        let group = try identity(entry.group, path)
        return user == 0 && group == 0 && !parentIsSetgid ? nil : (user, group)
    }

    private func identity(_ number: Int64, _ path: EntryPath) throws(LayerUnpackError) -> UInt32 {
        // The largest means "leave it" to chown(2).
        guard let id = UInt32(exactly: number), id != .max else {
            throw .refused(entry: path.description, reason: "\(number) is no user or group")
        }
        return id
    }

    private func name(of raw: UnsafePointer<CChar>) -> String {
        printable(UnsafeBufferPointer(start: raw, count: strlen(raw)).lazy.map { UInt8(bitPattern: $0) })
    }
}

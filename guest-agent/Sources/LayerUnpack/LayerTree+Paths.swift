import CLayerUnpack
import Glibc
import System

/// Finding, making and removing places in the tree.
extension LayerTree {
    /// The directory an entry lies in, made if the layer does not have it. Valid until the next call.
    func openParent(_ path: EntryPath) throws(LayerUnpackError) -> Int32 {
        if parentFD >= 0 && path.parent == parentPath { return parentFD }
        let wanted = path.parent.count == 1 ? [CChar(bitPattern: UInt8(ascii: ".")), 0] : path.parent
        var fd = lu_open_in_root(root, wanted)
        if fd < 0 && (errno == ENOENT || errno == ENOTDIR) {
            try makeDirectories(path)
            fd = lu_open_in_root(root, wanted)
        }
        if fd < 0 { throw .call("openat2", errno: errno, entry: path.description) }
        if parentFD >= 0 { close(parentFD) }
        parentFD = fd
        parentPath = path.parent
        var info = stat()
        try check("fstat", path) { fstat(fd, &info) }
        parentIsSetgid = info.st_mode & S_ISGID != 0
        return fd
    }

    /// Makes the missing directories on an entry's way, following links within the tree also where they lead nowhere
    /// yet.
    private func makeDirectories(_ path: EntryPath) throws(LayerUnpackError) {
        let slash = CChar(bitPattern: UInt8(ascii: "/"))
        let dot = CChar(bitPattern: UInt8(ascii: "."))
        /// What is left to walk, next component last.
        var components = Array(path.parent.dropLast().split(separator: slash).map(Array.init).reversed())
        /// Where the walk is: real directories, no links.
        var place: [[CChar]] = []
        var links = 0
        while let component = components.popLast() {
            if component == [dot] { continue }
            if component == [dot, dot] {
                _ = place.popLast()
                continue
            }
            let directory = place.isEmpty ? [dot, 0] : Array(place.joined(separator: [slash])) + [0]
            let fd = try check("openat2", path) { lu_open_in_root(root, directory) }
            defer { close(fd) }
            let name = component + [0]
            var info = stat()
            if fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0 {
                let code = errno
                if code != ENOENT { throw .call("fstatat", errno: code, entry: path.description) }
                try makeDirectory(name, in: fd, path)
                try noteImplicit(name, in: fd, place: place + [component], path)
            } else if info.st_mode & S_IFMT == S_IFLNK {
                links += 1
                if links > 40 { throw .call("openat2", errno: ELOOP, entry: path.description) }
                var target = [CChar](repeating: 0, count: Int(PATH_MAX))
                let count = try check("readlinkat", path) { readlinkat(fd, name, &target, target.count) }
                if target[0] == slash { place = [] }
                components += target[..<count].split(separator: slash).map(Array.init).reversed()
                continue
            } else if info.st_mode & S_IFMT == S_IFCHR && info.st_rdev == 0 {
                // A whiteout, and the layer has a directory of that name after all: hidden is what is below.
                try remove(name, in: fd, path)
                try makeDirectory(name, in: fd, path)
                try setOpaque("/proc/self/fd/\(fd)/", name, path)
            } else if info.st_mode & S_IFMT != S_IFDIR {
                throw .refused(entry: path.description, reason: "it lies in something that is not a directory")
            }
            place.append(component)
        }
    }

    private func makeDirectory(_ name: [CChar], in directory: Int32, _ path: EntryPath) throws(LayerUnpackError) {
        try check("mkdir", path) { mkdirat(directory, name, ImplicitDirectory.mode) }
        try check("fchownat", path) { fchownat(directory, name, 0, 0, AT_SYMLINK_NOFOLLOW) }
        // Whatever the umask, and without a set-group-id bit of the directory above.
        try check("fchmodat", path) { fchmodat(directory, name, ImplicitDirectory.mode, 0) }
    }

    /// Runs a call that makes the entry; where something of that name is in the way, removes that and runs it again.
    @discardableResult
    func replacing(_ path: EntryPath, _ call: StaticString, _ body: () -> Int32) throws(LayerUnpackError) -> Int32 {
        let result = body()
        if result >= 0 { return result }
        let code = errno
        guard code == EEXIST else { throw .call("\(call)", errno: code, entry: path.description) }
        try remove(path.name, in: parentFD, path)
        return try check(call, path, body)
    }

    func information(_ path: EntryPath, _ parent: Int32) throws(LayerUnpackError) -> stat {
        var info = stat()
        try check("fstatat", path) { fstatat(parent, path.name, &info, AT_SYMLINK_NOFOLLOW) }
        return info
    }

    /// Removes a name of a directory and all below it, following no links.
    func remove(_ name: [CChar], in directory: Int32, _ path: EntryPath) throws(LayerUnpackError) {
        // The remembered directory may be below, or no longer where its path leads; its descriptor is still in use.
        parentPath = [-1]
        try removeTree(name, in: directory, path)
    }

    private func removeTree(_ name: [CChar], in directory: Int32, _ path: EntryPath) throws(LayerUnpackError) {
        if unlinkat(directory, name, 0) == 0 { return }
        let code = errno
        guard code == EISDIR else { throw .call("unlink", errno: code, entry: path.description) }
        let fd = try check("open", path) {
            openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        }
        guard let listing = fdopendir(fd) else {
            close(fd)
            throw .call("opendir", errno: errno, entry: path.description)
        }
        defer { closedir(listing) }
        var info = stat()
        if fstat(fd, &info) == 0 {
            pending[info.st_ino] = nil
            implicit[info.st_ino] = nil
        }
        while let item = readdir(listing) {
            let child = withUnsafePointer(to: &item.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) {
                    Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1))
                }
            }
            if child == [46, 0] || child == [46, 46, 0] { continue }
            try removeTree(child, in: fd, path)
        }
        try check("rmdir", path) { unlinkat(directory, name, AT_REMOVEDIR) }
    }

    /// Runs a system call on an entry; its failure names that.
    @discardableResult
    func check<T: FixedWidthInteger & SignedInteger>(
        _ call: StaticString, _ path: EntryPath, _ body: () -> T
    ) throws(LayerUnpackError) -> T {
        do throws(SystemError) {
            return try syscall("") { body() }
        } catch {
            throw .call("\(call)", errno: error.errno, entry: path.description)
        }
    }
}

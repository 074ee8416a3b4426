import CAgent
import Glibc
import LayerUnpack
import System

/// Gives directories that a layer has only for what lies in them (`ImplicitDirectory`) the owner, mode, times and extended
/// attributes that the layers below have for them, by changing the mounted overlay. Costs one getxattr(2) a layer where
/// there are none, as in images that container engines build: their layers name the parents of what they hold.
///
/// Layers are hostile: every path is walked name by name, through no link.
struct ImplicitDirectories {
    private let layers: [FileDescriptor]
    /// Components, none ending in NUL.
    private typealias Path = [[CChar]]

    private static let directory = ca_o_directory | ca_o_nofollow

    /// - Parameter lowestFirst: the layers' mount points.
    init(lowestFirst paths: [String]) throws(SystemError) {
        var layers: [FileDescriptor] = []
        for path in paths { layers.append(try FileDescriptor.open(path, O_RDONLY | ca_o_directory)) }
        self.layers = layers
    }

    /// - Parameter merged: where the overlay of the layers is mounted.
    /// - Throws: `SystemError`, for want of space above all.
    func complete(_ merged: String) throws(SystemError) {
        // In the lowest layer there is nothing below to take anything from.
        var paths: Set<Path> = []
        for layer in layers.dropFirst() where Self.mark(layer) != nil { Self.collect(layer, into: &paths) }
        if paths.isEmpty { return }
        let root = try FileDescriptor.open(merged, O_RDONLY | ca_o_directory)
        // Parents first, so that what is above is settled; the order does not matter otherwise.
        for path in paths.sorted(by: { $0.count < $1.count }) {
            guard let source = source(of: path), let target = Self.walk(root, path)?.last else { continue }
            try Self.copyMetadata(from: source, to: target)
        }
    }

    /// The directory of the uppermost layer that names it, if an upper layer has it unnamed and nothing between hides it.
    private func source(of path: Path) -> FileDescriptor? {
        var isImplied = false
        for layer in layers.reversed() {
            guard let way = Self.walk(layer, path) else {
                // Something that is no directory, a whiteout for example: what is below it is not seen.
                return nil
            }
            if way.count == path.count + 1, let found = way.last {
                if Self.mark(found) != ImplicitDirectory.implied { return isImplied ? found : nil }
                isImplied = true
            }
            if way.contains(where: Self.isOpaque) { return nil }
        }
        return nil
    }

    /// The directories from `root` along the path as far as they are there, nil when the way is barred.
    private static func walk(_ root: FileDescriptor, _ path: Path) -> [FileDescriptor]? {
        var way = [root]
        var current = root
        for name in path {
            let fd = ca_openat(current.raw, name + [0], O_RDONLY | directory, 0)
            if fd < 0 { return errno == ENOENT ? way : nil }
            current = FileDescriptor(fd)
            way.append(current)
        }
        return way
    }

    /// Adds the paths of a layer's marked directories, not deeper than a path can be long.
    private static func collect(_ layer: FileDescriptor, into paths: inout Set<Path>) {
        var left: [(directory: FileDescriptor, path: Path)] = [(layer, [])]
        while let (directory, path) = left.popLast() {
            if mark(directory) == ImplicitDirectory.implied { paths.insert(path) }
            for name in subdirectories(of: directory) {
                let fd = ca_openat(directory.raw, name + [0], O_RDONLY | Self.directory, 0)
                guard fd >= 0 else { continue }
                let child = FileDescriptor(fd)
                if mark(child) != nil { left.append((child, path + [name])) }
            }
        }
    }

    private static func subdirectories(of directory: FileDescriptor) -> [[CChar]] {
        // closedir closes the descriptor it was given.
        let copy = ca_openat(directory.raw, [CChar(bitPattern: UInt8(ascii: ".")), 0], O_RDONLY | ca_o_directory, 0)
        guard copy >= 0, let stream = fdopendir(copy) else { return [] }
        defer { closedir(stream) }
        var names: [[CChar]] = []
        while let entry = readdir(stream) {
            guard entry.pointee.d_type == UInt8(DT_DIR) || entry.pointee.d_type == UInt8(DT_UNKNOWN) else { continue }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                    Array(UnsafeBufferPointer(start: $0, count: strlen($0)))
                }
            }
            if name != [46] && name != [46, 46] { names.append(name) }
        }
        return names
    }

    // MARK: Attributes

    private static func mark(_ directory: FileDescriptor) -> UInt8? { byte(directory, ImplicitDirectory.mark) }
    private static func isOpaque(_ directory: FileDescriptor) -> Bool {
        byte(directory, "trusted.overlay.opaque") == UInt8(ascii: "y")
    }

    private static func byte(_ file: FileDescriptor, _ name: String) -> UInt8? {
        var value: UInt8 = 0
        return fgetxattr(file.raw, name, &value, 1) == 1 ? value : nil
    }

    private static func copyMetadata(from source: FileDescriptor, to target: FileDescriptor) throws(SystemError) {
        let (from, to) = (source.raw, target.raw)
        var info = stat()
        try syscall("fstat") { fstat(from, &info) }
        try syscall("fchown") { fchown(to, info.st_uid, info.st_gid) }
        try syscall("fchmod") { fchmod(to, info.st_mode & 0o7777) }
        var list = [CChar](repeating: 0, count: 1 << 16)
        let length = try syscall("flistxattr") { flistxattr(from, &list, list.count) }
        for name in list[..<length].split(separator: 0).map({ Array($0) + [0] }) {
            if name.starts(with: "trusted.overlay.".utf8.map { CChar(bitPattern: $0) }) { continue }
            var value = [UInt8](repeating: 0, count: 1 << 16)
            let size = try syscall("fgetxattr") { fgetxattr(from, name, &value, value.count) }
            try syscall("fsetxattr") { fsetxattr(to, name, value, size, 0) }
        }
        let times = [info.st_atim, info.st_mtim]
        try syscall("futimens") { futimens(to, times) }
    }
}

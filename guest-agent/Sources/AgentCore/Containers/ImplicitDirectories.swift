import CAgent
import Glibc
import LayerUnpack
import System

/// Gives directories that a layer has only for what lies in them (`ImplicitDirectory`) the owner, mode, times and extended
/// attributes that the layers below have for them: on the layer's own disk when it is unpacked, where the layers below are
/// there already; else in the overlay, each time it is mounted. The first is for the layers that were below then. A layer
/// that has got others below it since, in another image, goes the second way there.
///
/// Layers are hostile: every path is walked name by name, through no link.
struct ImplicitDirectories {
    private let layers: [FileDescriptor]
    /// Components, none ending in NUL.
    private typealias Path = [[CChar]]

    private static let directory = ca_o_directory | ca_o_nofollow

    /// - Parameter lowestFirst: the layers' mount points.
    private init(lowestFirst paths: [String]) throws(SystemError) {
        var layers: [FileDescriptor] = []
        for path in paths { layers.append(try FileDescriptor.open(path, O_RDONLY | ca_o_directory)) }
        self.layers = layers
    }

    /// Completes a mounted overlay by changing it. Costs one getxattr(2) a layer where there is nothing to do.
    /// - Parameters:
    ///   - lowestFirst: the layers' mount points.
    ///   - completeLayers: those of them that are as they should be over those below.
    /// - Throws: `SystemError`, for want of space above all.
    static func complete(
        overlay: String, lowestFirst paths: [String], completeLayers: Set<String>
    ) throws(SystemError) {
        // In the lowest layer there is nothing below to take anything from.
        if paths.dropFirst().allSatisfy(completeLayers.contains) { return }
        let directories = try ImplicitDirectories(lowestFirst: paths)
        var wanted: Set<Path> = []
        for (path, layer) in zip(paths, directories.layers).dropFirst() where !completeLayers.contains(path) {
            collect(layer, into: &wanted)
        }
        if wanted.isEmpty { return }
        try directories.complete(wanted, in: try FileDescriptor.open(overlay, O_RDONLY | ca_o_directory))
    }

    /// Completes a layer by changing it.
    /// - Parameters:
    ///   - layer: where it is mounted, writable.
    ///   - below: the mount points of the layers below it, lowest first.
    static func complete(layer: String, over below: [String]) throws(SystemError) {
        let directories = try ImplicitDirectories(lowestFirst: below + [layer])
        guard let root = directories.layers.last else { return }
        var wanted: Set<Path> = []
        collect(root, into: &wanted)
        for target in try directories.complete(wanted, in: root) {
            var completed = ImplicitDirectory.completed
            try syscall("fsetxattr") { fsetxattr(target.raw, ImplicitDirectory.mark, &completed, 1, 0) }
        }
    }

    /// - Returns: the directories that were changed.
    @discardableResult
    private func complete(_ paths: Set<Path>, in root: FileDescriptor) throws(SystemError) -> [FileDescriptor] {
        var changed: [FileDescriptor] = []
        // Parents first, so that what is above is settled; the order does not matter otherwise.
        for path in paths.sorted(by: { $0.count < $1.count }) {
            let source: FileDescriptor?
            switch origin(of: path) {
            case .itself: continue
            case .nothing: source = nil
            case .directory(let named): source = named
            }
            guard let target = Self.walk(root, path)?.last else { continue }
            try Self.copyMetadata(from: source, to: target)
            changed.append(target)
        }
        return changed
    }

    /// Where a directory's owner, mode, times and extended attributes come from.
    private enum Origin {
        /// It has them, or is not to be seen.
        case itself
        /// No layer names it, and it has what it got when it was unpacked over others.
        case nothing
        /// The uppermost that names it, with one above that does not, and nothing between that hides it.
        case directory(FileDescriptor)
    }

    private func origin(of path: Path) -> Origin {
        var uppermost: UInt8?
        for layer in layers.reversed() {
            // Something that is no directory, a whiteout for example: what is below it is not seen.
            guard let way = Self.walk(layer, path) else { break }
            if way.count == path.count + 1, let found = way.last {
                let mark = Self.mark(found)
                guard mark == ImplicitDirectory.implied || mark == ImplicitDirectory.completed else {
                    return uppermost == nil ? .itself : .directory(found)
                }
                uppermost = uppermost ?? mark
            }
            if way.contains(where: Self.isOpaque) { break }
        }
        return uppermost == ImplicitDirectory.completed ? .nothing : .itself
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
        if mark(layer) == nil { return }
        var left: [(directory: FileDescriptor, path: Path)] = [(layer, [])]
        while let (directory, path) = left.popLast() {
            if mark(directory) != ImplicitDirectory.holds { paths.insert(path) }
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

    /// - Parameter source: nil for what a directory has that no layer names.
    private static func copyMetadata(from source: FileDescriptor?, to target: FileDescriptor) throws(SystemError) {
        let to = target.raw
        for name in try attributes(of: target) { try syscall("fremovexattr") { fremovexattr(to, name) } }
        guard let from = source?.raw, let source else {
            try syscall("fchown") { fchown(to, 0, 0) }
            try syscall("fchmod") { fchmod(to, ImplicitDirectory.mode) }
            return
        }
        var info = stat()
        try syscall("fstat") { fstat(from, &info) }
        try syscall("fchown") { fchown(to, info.st_uid, info.st_gid) }
        try syscall("fchmod") { fchmod(to, info.st_mode & 0o7777) }
        for name in try attributes(of: source) {
            var value = [UInt8](repeating: 0, count: 1 << 16)
            let size = try syscall("fgetxattr") { fgetxattr(from, name, &value, value.count) }
            try syscall("fsetxattr") { fsetxattr(to, name, value, size, 0) }
        }
        let times = [info.st_atim, info.st_mtim]
        try syscall("futimens") { futimens(to, times) }
    }

    /// The names of extended attributes, each ending in NUL, without those that speak to the overlay.
    private static func attributes(of file: FileDescriptor) throws(SystemError) -> [[CChar]] {
        let fd = file.raw
        var list = [CChar](repeating: 0, count: 1 << 16)
        let length = try syscall("flistxattr") { flistxattr(fd, &list, list.count) }
        let overlay = "trusted.overlay.".utf8.map { CChar(bitPattern: $0) }
        return list[..<length].split(separator: 0).map { Array($0) + [0] }.filter { !$0.starts(with: overlay) }
    }
}

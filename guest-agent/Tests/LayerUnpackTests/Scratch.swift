import CLayerUnpack
import Glibc
import LayerUnpack
import System

/// A directory of a test's own, with a place to unpack into and one beside it that nothing may touch. Gone with the
/// object.
final class Scratch {
    let path: String
    var root: String { "\(path)/root" }
    var outside: String { "\(path)/outside" }
    private let isMounted: Bool

    /// - Parameter sizeInKiB: of a memory filesystem to unpack into; nil unpacks into the directory itself.
    init(sizeInKiB: Int? = nil, inodes: Int = 1000) throws {
        var template = Array("/var/tmp/layer-unpack-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError("mkdtemp") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        isMounted = sizeInKiB != nil
        for directory in [root, outside] {
            try Files.makeDirectories(directory, mode: 0o755)
            chmod(directory, 0o755)
        }
        try Files.write("\(outside)/victim", "untouched", mode: 0o600)
        if let sizeInKiB {
            let options = "size=\(sizeInKiB)k,nr_inodes=\(inodes),mode=755"
            let result = mount("tmpfs", root, "tmpfs", 0, options)
            if result != 0 { throw SystemError("mount", root) }
        }
    }

    deinit {
        if isMounted { umount2(root, Int32(MNT_DETACH)) }
        // Not Files.removeTree: names here are bytes, and paths longer than the kernel takes.
        _ = try? shell("rm -rf '\(path)'")
    }

    func unpack(_ blob: [UInt8]) throws -> UnpackedLayer {
        try Files.write("\(path)/blob", blob)
        return try unpack(file: "\(path)/blob")
    }

    func unpack(file: String) throws -> UnpackedLayer {
        let blob = try FileDescriptor.open(file, O_RDONLY)
        let directory = try FileDescriptor.open(root, O_RDONLY | O_DIRECTORY)
        var info = stat()
        stat(file, &info)
        return try unpackLayer(blob: blob.raw, sizeInBytes: UInt64(info.st_size), into: directory.raw)
    }

    /// `path kind mode owner:group what [attributes]`, sorted, without the root; whiteouts as `path whiteout`.
    func listing(_ directory: String? = nil) throws -> [String] {
        let directory = directory ?? root
        var lines: [String] = []
        func visit(_ prefix: String) throws {
            for name in try Files.list(directory + prefix) {
                lines.append(try Self.line(directory, "\(prefix)/\(name)"))
                var info = stat()
                if lstat("\(directory)\(prefix)/\(name)", &info) == 0, info.st_mode & S_IFMT == S_IFDIR {
                    try visit("\(prefix)/\(name)")
                }
            }
        }
        try visit("")
        return lines.sorted()
    }

    private static func line(_ directory: String, _ relative: String) throws -> String {
        let path = directory + relative
        var info = stat()
        if lstat(path, &info) != 0 { throw SystemError("lstat", path) }
        let major = (info.st_rdev >> 8) & 0xfff
        let minor = (info.st_rdev & 0xff) | ((info.st_rdev >> 12) & 0xfff00)
        let name = String(relative.dropFirst())
        if info.st_mode & S_IFMT == S_IFCHR && info.st_rdev == 0 { return "\(name) whiteout" }
        let (kind, what): (String, String)
        switch info.st_mode & S_IFMT {
        case S_IFREG: (kind, what) = ("file", info.st_size > 64 ? "\(info.st_size)" : try Files.readText(path))
        case S_IFDIR: (kind, what) = ("directory", "")
        case S_IFLNK:
            var target = [CChar](repeating: 0, count: 4097)
            readlink(path, &target, 4096)
            (kind, what) = (
                "link", String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            )
        case S_IFCHR: (kind, what) = ("character", "\(major):\(minor)")
        case S_IFBLK: (kind, what) = ("block", "\(major):\(minor)")
        case S_IFIFO: (kind, what) = ("fifo", "")
        default: (kind, what) = ("unknown", "")
        }
        var words = [name, kind, String(info.st_mode & 0o7777, radix: 8), "\(info.st_uid):\(info.st_gid)", what]
        if info.st_nlink > 1 && kind != "directory" { words.append("links=\(info.st_nlink)") }
        words += attributes(path)
        return words.filter { !$0.isEmpty }.joined(separator: " ")
    }

    private static func attributes(_ path: String) -> [String] {
        var names = [CChar](repeating: 0, count: 4096)
        let count = llistxattr(path, &names, names.count)
        guard count > 0 else { return [] }
        return names[..<count].split(separator: 0).compactMap { bytes in
            let name = String(decoding: bytes.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            // Says nothing of what the archive holds; tested by itself.
            if name == ImplicitDirectory.mark { return nil }
            var value = [UInt8](repeating: 0, count: 4096)
            let length = lgetxattr(path, name, &value, value.count)
            return "\(name)=\(length > 0 ? printableOrHex(Array(value[..<length])) : "")"
        }.sorted()
    }

    private static func printableOrHex(_ value: [UInt8]) -> String {
        if value.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) { return String(decoding: value, as: UTF8.self) }
        return value.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
    }
}

/// Runs a shell script; its output, and an error when it fails.
@discardableResult
func shell(_ script: String) throws -> String {
    let (read, write) = try makePipe()
    let child = try ChildProcess.spawn("/bin/sh", ["-eu", "-c", script], descriptors: [0, write.raw, 2])
    write.close()
    let output = String(decoding: try read.readToEnd(limit: 64 << 20), as: UTF8.self)
    let status = child.wait()
    if status != .exited(0) { throw SystemError("sh", script, errno: EIO) }
    return output
}

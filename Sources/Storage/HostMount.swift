import CSystem
import Glibc
import System

/// A mount made on the host, as containerd hands it over: a type and options as mount(8) has them.
public struct HostMount: Hashable, Sendable {
    public var type: String
    public var source: String
    /// Below the place it is for; empty for that place itself.
    public var target: String
    public var options: [String]

    public init(type: String, source: String, target: String = "", options: [String] = []) {
        self.type = type
        self.source = source
        self.target = target
        self.options = options
    }

    /// mount(2) takes a page of text with its NUL.
    static let longestDataInBytes = 4095

    func mount(at place: String) throws(SystemError) {
        if target.isEmpty || target == "/" { return try mountThere(place) }
        // An image may have a symbolic link in the way.
        let below = String(target.drop { $0 == "/" })
        let directory = try FileDescriptor.open(place, cs_o_path | O_DIRECTORY).openBeneath(
            below, cs_o_path | O_DIRECTORY)
        try mountThere("/proc/thread-self/fd/\(directory.raw)")
    }

    private func mountThere(_ target: String) throws(SystemError) {
        let parsed = MountOptions(options)
        if type == "bind" || parsed.isBind { return try bind(parsed, at: target) }
        // mount(2) does not say which of the two is missing.
        if source.hasPrefix("/"), !Files.exists(source) { throw SystemError("mount", source, errno: ENOENT) }
        let data = parsed.data.filter { $0 != "loop" }.joined(separator: ",")
        let loop = isImage ? try LoopDevice(source, readOnly: parsed.flags & UInt(MS_RDONLY) != 0) : nil
        // Mounted, it lasts by itself.
        defer { withExtendedLifetime(loop) {} }
        let (type, source) = (type, loop?.path ?? source)
        if data.utf8.count <= Self.longestDataInBytes {
            try Mounts.mount(source, at: target, type: type, flags: parsed.flags, data: data)
        } else if type == "overlay", let short = OverlayOptions.shortened(parsed.data),
            short.data.utf8.count <= Self.longestDataInBytes
        {
            try Mounts.run(in: short.directory) { () throws(SystemError) in
                try Mounts.mount(source, at: target, type: type, flags: parsed.flags, data: short.data)
            }
        } else {
            throw SystemError("mount \(type) with \(data.utf8.count) bytes of options at", target, errno: E2BIG)
        }
    }

    /// Whether the source is a file with a filesystem in it.
    public var isImage: Bool {
        if type == "bind" || MountOptions(options).isBind { return false }
        var info = stat()
        return source.hasPrefix("/") && stat(source, &info) == 0 && info.st_mode & S_IFMT == S_IFREG
    }

    /// Whether the source is a block device.
    public var isDevice: Bool {
        if type == "bind" || MountOptions(options).isBind { return false }
        var info = stat()
        return source.hasPrefix("/") && stat(source, &info) == 0 && info.st_mode & S_IFMT == S_IFBLK
    }

    private func bind(_ options: MountOptions, at target: String) throws(SystemError) {
        let tree = try MountTree(copying: source, recursively: options.flags & UInt(MS_REC) != 0)
        try tree.isolate()
        if options.flags & UInt(MS_RDONLY) != 0 { try tree.makeReadOnly(recursively: false) }
        try tree.attach(at: target, followsLink: true)
    }
}

/// The options of an overlay (kernel `Documentation/filesystems/overlayfs.rst`) of more layers than fit in the text with
/// their whole paths: they are named from the directory that most of a snapshotter's have in common.
enum OverlayOptions {
    /// - Returns: the directory to mount in and the text; nil for layers that have no directory in common.
    static func shortened(_ options: [String]) -> (directory: String, data: String)? {
        let key = "lowerdir="
        guard let lower = options.first(where: { $0.hasPrefix(key) }) else { return nil }
        let layers = split(lower.dropFirst(key.count))
        guard layers.allSatisfy({ $0.hasPrefix("/") }), let first = layers.first else { return nil }
        var common = first.split(separator: "/").dropLast()
        for layer in layers {
            let parts = layer.split(separator: "/").dropLast()
            common = common.prefix(zip(common, parts).prefix { $0 == $1 }.count)
        }
        if common.isEmpty { return nil }
        let directory = "/" + common.joined(separator: "/")
        let short = layers.map { layer in
            // By parts, since a path may have more than one slash in a place.
            layer.split(separator: "/").dropFirst(common.count).joined(separator: "/")
        }
        let data = options.map { $0 == lower ? key + short.joined(separator: ":") : $0 }
        return (unescaped(directory), data.joined(separator: ","))
    }

    /// At colons that no backslash precedes.
    private static func split(_ text: Substring) -> [String] {
        var parts = [""]
        var isEscaped = false
        for character in text {
            if character == ":" && !isEscaped {
                parts.append("")
            } else {
                parts[parts.count - 1].append(character)
            }
            isEscaped = character == "\\" && !isEscaped
        }
        return parts
    }

    private static func unescaped(_ path: String) -> String {
        var result = ""
        var isEscaped = false
        for character in path {
            if character == "\\" && !isEscaped {
                isEscaped = true
            } else {
                result.append(character)
                isEscaped = false
            }
        }
        return result
    }
}

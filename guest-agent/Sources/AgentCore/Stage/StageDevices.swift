import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// Fills a container's `/dev`
/// (<https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#default-devices>).
struct StageDevices {
    let root: ContainerRoot

    private static let defaults: [(name: String, major: Int64, minor: Int64)] = [
        ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0),
    ]

    private static let links: [(target: String, name: String)] = [
        ("pts/ptmx", "ptmx"), ("/proc/self/fd", "fd"), ("/proc/self/fd/0", "stdin"), ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
    ]

    func makeDefaults() throws {
        for node in Self.defaults {
            var device = Device()
            device.path = "/dev/\(node.name)"
            device.type = "c"
            device.major = node.major
            device.minor = node.minor
            try make(device)
        }
        let opened = try root.makeDirectory("/dev")
        let dev = opened.raw
        for link in Self.links {
            // An image's own /dev may have something there; the link is what the specification wants.
            if symlinkat(link.target, dev, link.name) == 0 { continue }
            guard errno == EEXIST else { throw SystemError("symlink", "/dev/\(link.name)") }
            // In one step: another container that is made of the same directory may be doing so, too.
            let fresh = "\(Self.temporaryPrefix)\(UInt64.random(in: 0 ... .max))"
            try syscall("symlink", "/dev/\(link.name)") { symlinkat(link.target, dev, fresh) }
            guard renameat(dev, fresh, dev, link.name) == 0 else {
                let error = SystemError("rename", "/dev/\(link.name)")
                unlinkat(dev, fresh, 0)
                throw error
            }
        }
    }

    /// Makes a node of everything in the guest's own `/dev`, but for terminals, which the container has of its own.
    func makeAll() throws { try makeAll(in: "/dev") }

    private func makeAll(in directory: String) throws {
        for name in try Files.list(directory).sorted()
        where !["console", "ptmx", "pts"].contains(name) && !name.hasPrefix(Self.temporaryPrefix) {
            let path = "\(directory)/\(name)"
            var info = stat()
            guard lstat(path, &info) == 0 else { continue }
            var device = Device()
            switch info.st_mode & S_IFMT {
            case S_IFDIR:
                try makeAll(in: path)
                continue
            case S_IFCHR: device.type = "c"
            case S_IFBLK: device.type = "b"
            default: continue
            }
            device.path = path
            let number = DeviceNumber(info.st_rdev)
            (device.major, device.minor) = (number.major, number.minor)
            device.fileMode = info.st_mode & 0o7777
            (device.uid, device.gid) = (info.st_uid, info.st_gid)
            try make(device)
        }
    }

    func make(_ device: Device) throws {
        let (parent, name) = ContainerRoot.split(device.path)
        guard !name.isEmpty else { throw RPCError(.invalidArgument, "\"\(device.path)\" cannot be a device's path") }
        let opened = try root.makeDirectory(parent)
        // What a disk is called may be another device's name in the guest, of which a privileged container has them all.
        if !device.disk.isEmpty { unlinkat(opened.raw, name, 0) }
        do { try Self.makeNode(device, in: opened, name) } catch let error as SystemError {
            switch error.errno {
            case EEXIST where device.disk.isEmpty: return
            // In a user namespace nodes cannot be made, nor on the share; others can be shown.
            case EPERM: return try bindNode(device)
            default: throw error
            }
        }
    }

    /// - Throws: `RPCError` for what cannot be a device; `SystemError`.
    private static func makeNode(_ device: Device, in opened: FileDescriptor, _ name: String) throws {
        let type: mode_t
        switch device.type {
        case "c", "u": type = S_IFCHR
        case "b": type = S_IFBLK
        case "p": type = S_IFIFO
        default: throw RPCError(.invalidArgument, "device \(device.path): there is no type \"\(device.type)\"")
        }
        guard let major = UInt32(exactly: device.major), let minor = UInt32(exactly: device.minor) else {
            throw RPCError(.invalidArgument, "device \(device.path): number \(device.major):\(device.minor) cannot be")
        }
        let directory = opened.raw
        let mode = mode_t(device.fileMode & 0o7777)
        try syscall("mknod", device.path) { ca_make_node(directory, name, type | mode, major, minor) }
        try syscall("chmod", device.path) { fchmodat(directory, name, mode, 0) }
        if device.uid != 0 || device.gid != 0 {
            try syscall("chown", device.path) { fchownat(directory, name, device.uid, device.gid, AT_SYMLINK_NOFOLLOW) }
        }
    }

    private static let temporaryPrefix = ".node-"

    /// Makes a node in the guest's own `/dev`, lets `body` bind it by its path, and removes it: bound, it lasts.
    static func withNode(_ device: Device, _ body: (String) throws -> Void) throws {
        let name = "\(temporaryPrefix)\(UInt64.random(in: 0 ... .max))"
        try makeNode(device, in: try FileDescriptor.open("/dev", ca_o_path | ca_o_directory), name)
        defer { unlink("/dev/\(name)") }
        try body("/dev/\(name)")
    }

    private func bindNode(_ device: Device) throws {
        let target = try root.makeFile(device.path)
        func bind(_ source: String) throws(SystemError) {
            try syscall("mount", device.path) {
                mount(source, ContainerRoot.path(of: target), nil, UInt(MS_BIND), nil)
            }
        }
        do { try Self.withNode(device) { try bind($0) } } catch let error as SystemError {
            guard error.errno == EPERM else { throw error }
            try bind(device.path)
        }
    }

    // MARK: Terminal

    /// Makes a terminal in the container's own devpts and makes it this process's standard streams and `/dev/console`.
    /// - Returns: its master.
    func openTerminal(rows: UInt32, columns: UInt32, console: Bool) throws -> FileDescriptor {
        let master: FileDescriptor
        do { master = try root.open("/dev/pts/ptmx", O_RDWR | O_NOCTTY) } catch {
            throw RPCError(
                .failedPrecondition, "a terminal needs a devpts mounted at /dev/pts of the container: \(error)")
        }
        let raw = master.raw
        let slave = FileDescriptor(try syscall("open", "terminal") { ca_open_terminal_peer(raw) })
        if rows > 0 && columns > 0 {
            try syscall("resize", "terminal") {
                ca_set_window_size(raw, UInt16(clamping: rows), UInt16(clamping: columns))
            }
        }
        if console {
            let target = try root.makeFile("/dev/console")
            try syscall("mount", "/dev/console") {
                mount(ContainerRoot.path(of: slave), ContainerRoot.path(of: target), nil, UInt(MS_BIND), nil)
            }
        }
        let terminal = slave.raw
        try syscall("terminal") { ca_set_controlling_terminal(terminal) }
        for stream: Int32 in 0...2 { try syscall("dup2") { dup2(terminal, stream) } }
        return master
    }
}

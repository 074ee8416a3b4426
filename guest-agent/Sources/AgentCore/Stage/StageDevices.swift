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
            unlinkat(dev, link.name, 0)
            try syscall("symlink", "/dev/\(link.name)") { symlinkat(link.target, dev, link.name) }
        }
    }

    /// Makes a node of everything in the guest's own `/dev`, but for terminals, which the container has of its own.
    func makeAll() throws { try makeAll(in: "/dev") }

    private func makeAll(in directory: String) throws {
        for name in try Files.list(directory).sorted() where !["console", "ptmx", "pts"].contains(name) {
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
            // makedev(3)'s parts.
            let number = UInt64(info.st_rdev)
            device.major = Int64((number >> 8) & 0xfff | (number >> 32) & ~0xfff)
            device.minor = Int64(number & 0xff | (number >> 12) & ~0xff)
            device.fileMode = info.st_mode & 0o7777
            (device.uid, device.gid) = (info.st_uid, info.st_gid)
            try make(device)
        }
    }

    func make(_ device: Device) throws {
        let (parent, name) = ContainerRoot.split(device.path)
        let type: mode_t
        switch device.type {
        case "c", "u": type = S_IFCHR
        case "b": type = S_IFBLK
        case "p": type = S_IFIFO
        default: throw RPCError(.invalidArgument, "device \(device.path): there is no type \"\(device.type)\"")
        }
        guard !name.isEmpty, let major = UInt32(exactly: device.major), let minor = UInt32(exactly: device.minor) else {
            throw RPCError(.invalidArgument, "device \(device.path): number \(device.major):\(device.minor) cannot be")
        }
        let opened = try root.makeDirectory(parent)
        let directory = opened.raw
        if ca_make_node(directory, name, type | mode_t(device.fileMode & 0o7777), major, minor) != 0 {
            switch errno {
            case EEXIST: return
            // In a user namespace nodes cannot be made; the guest's own can be shown.
            case EPERM: return try bindGuestDevice(device)
            default: throw SystemError("mknod", device.path)
            }
        }
        try syscall("chmod", device.path) { fchmodat(directory, name, mode_t(device.fileMode & 0o7777), 0) }
        if device.uid != 0 || device.gid != 0 {
            try syscall("chown", device.path) { fchownat(directory, name, device.uid, device.gid, AT_SYMLINK_NOFOLLOW) }
        }
    }

    private func bindGuestDevice(_ device: Device) throws {
        let target = try root.makeFile(device.path)
        try syscall("mount", device.path) {
            mount(device.path, ContainerRoot.path(of: target), nil, UInt(MS_BIND), nil)
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

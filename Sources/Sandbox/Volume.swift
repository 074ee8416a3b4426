import AgentAPI
import CSystem
import Glibc
import OCISpec
import Storage
import System

/// What becomes of one mount of a specification.
enum Volume: Equatable {
    /// A filesystem of the guest's own kernel.
    case guests
    /// A directory or file of the host's. `options` are the guest's.
    case shared(ShareTree.Volume, options: [String])
    /// A filesystem that the host mounts and shares.
    case mounted(HostMount)
    /// A block device of the host's.
    case device(RuntimeSpec.Device)
    /// What the sandbox's containers have in common, in the guest's memory.
    case commonTmpfs(name: String, sizeInBytes: UInt64)

    /// What kinds of filesystem are about the kernel they are mounted in, beside what `mount(8)` finds on devices.
    private static let guestTypes: Set<String> = [
        "proc", "sysfs", "tmpfs", "ramfs", "devpts", "devtmpfs", "mqueue", "cgroup", "cgroup2", "bpf", "debugfs",
        "tracefs",
        "securityfs", "configfs", "hugetlbfs", "fusectl", "binfmt_misc", "pstore", "efivarfs",
    ]
    /// The same, mounted on the host, by the numbers statfs(2) gives.
    private static let guestMagics: Set<Int> = [
        0x9fa0, 0x6265_6572, 0x1cd1, 0x1980_0202, 0x27_e0eb, 0x6367_7270, 0xcafe_4a11, 0x6462_6720, 0x7472_6163,
        0x7363_6673, 0x6265_6570, 0x9584_58f6, 0x4249_4e4d, 0x6165_676c, 0xde5e_81e4, 0x6e73_6673,
    ]
    private static let tmpfsMagic = 0x0102_1994

    /// - Parameter bundle: what relative sources are relative to.
    /// - Throws: `SandboxError` for what cannot mean the same in a guest.
    init(_ mount: RuntimeSpec.Mount, bundle: String) throws(SandboxError) {
        let type = mount.type ?? ""
        let options = MountOptions(mount.options)
        guard type == "bind" || options.isBind else {
            self =
                Self.guestTypes.contains(type)
                ? .guests
                : .mounted(HostMount(type: type, source: mount.source ?? "", options: mount.options))
            return
        }
        let named = mount.source ?? ""
        let source = named.hasPrefix("/") ? named : "\(bundle)/\(named)"
        func refusal(_ why: String) -> SandboxError {
            SandboxError(.invalid, "the mount of \(source) at \(mount.destination) \(why)")
        }
        var info = stat()
        guard stat(source, &info) == 0 else {
            if errno == ENOENT { throw refusal("cannot be made: \(source) does not exist; create it first") }
            throw refusal("cannot be made: \(SystemError("stat", source))")
        }
        if options.propagation.contains(where: { $0 & UInt(MS_SHARED) != 0 }) {
            throw refusal("cannot be \"rshared\": what a guest mounts does not reach the host; use rslave or rprivate")
        }
        var filesystem = statfs()
        let magic = statfs(source, &filesystem) == 0 ? Int(filesystem.f_type) : 0
        if magic == Self.tmpfsMagic, mount.destination.split(separator: "/") == ["dev", "shm"] {
            self = .commonTmpfs(
                name: "\(info.st_dev)-\(info.st_ino)",
                sizeInBytes: UInt64(clamping: filesystem.f_blocks) * UInt64(clamping: filesystem.f_bsize))
            return
        }
        // By name too: a devtmpfs has a tmpfs's number, and control groups lie in a tmpfs.
        let isKernels = ["dev", "proc", "sys"].contains(source.split(separator: "/").first ?? "")
        if Self.guestMagics.contains(magic) || isKernels && !source.hasPrefix("/dev/shm"),
            info.st_mode & S_IFMT != S_IFBLK
        {
            self = .guests
            return
        }
        switch info.st_mode & S_IFMT {
        case S_IFBLK: self = .device(Self.device(info, at: mount.destination))
        case S_IFCHR: throw refusal("cannot be made: it is a device of the host's, which no guest has")
        case S_IFSOCK: throw refusal("cannot be made: it is a socket, which only programs on the host can reach")
        default: self = Self.share(source, mount, options)
        }
    }

    /// As it is on the host.
    private static func device(_ info: stat, at path: String) -> RuntimeSpec.Device {
        let number = DeviceNumber(info.st_rdev)
        return RuntimeSpec.Device(
            type: "b", path: path, major: number.major, minor: number.minor, fileMode: info.st_mode & 0o7777,
            uid: info.st_uid, gid: info.st_gid)
    }

    private static func share(_ source: String, _ mount: RuntimeSpec.Mount, _ options: MountOptions) -> Volume {
        let isRecursivelyReadOnly = options.recursivelySet & cs_mount_attribute_read_only != 0
        let isReadOnly = options.flags & UInt(MS_RDONLY) != 0
        var volume = ShareTree.Volume(
            source: source, recursively: options.flags & UInt(MS_REC) != 0,
            readOnly: isRecursivelyReadOnly ? .everything : isReadOnly ? .topmost : .unchanged,
            followsHost: options.propagation.contains { $0 & UInt(MS_SLAVE) != 0 })
        // The pod's own directory, which it may write to anyway. One mount of it for all containers, however each may use it:
        // only then do sockets and locks in it work between them.
        if source.contains("/kubernetes.io~empty-dir/") { volume.readOnly = .unchanged }
        var kept = mount.options
        // The guest would carry it over to what is mounted below; the host holds it in any case.
        if volume.readOnly == .topmost, volume.recursively, volume.followsHost || Mounts.hasMounts(below: source) {
            kept.removeAll { $0 == "ro" }
        }
        return .shared(volume, options: kept)
    }
}

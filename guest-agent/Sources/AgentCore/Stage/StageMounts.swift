import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// Carries out a specification's mounts inside a container's root.
struct StageMounts {
    let root: ContainerRoot
    let request: StageRequest
    /// Made read-only when everything else is in place: things are still to be made on them.
    private var readOnlyLater: [String] = []

    init(root: ContainerRoot, request: StageRequest) {
        self.root = root
        self.request = request
    }

    mutating func mountAll(_ mounts: [Mount]) throws {
        for entry in mounts {
            do { try mountOne(entry) } catch let error as SystemError {
                throw RPCError(
                    .internal,
                    "mount of \(entry.type.isEmpty ? entry.source : entry.type) at \(entry.destination): \(error)")
            }
        }
    }

    /// Does what `readOnlyLater` holds back. - Throws: `SystemError`.
    func finish() throws(SystemError) {
        for path in readOnlyLater { try remount(path, adding: UInt(MS_RDONLY), removing: 0) }
    }

    private mutating func mountOne(_ entry: Mount) throws {
        let options = MountOptions(entry.options)
        if !entry.sharePath.isEmpty {
            return try bind(entry, try Share.path(ofShared: entry.sharePath), options)
        }
        if !entry.commonTmpfs.isEmpty { return try bind(entry, try Share.path(ofCommon: entry.commonTmpfs), options) }
        if let device = entry.device {
            return try StageDevices.withNode(device) { node in try bind(entry, node, options) }
        }
        if entry.type == "bind" || options.isBind { return try bind(entry, entry.source, options) }
        switch entry.type {
        case "cgroup", "cgroup2": try mountCgroup(entry, options)
        case "tmpfs": try mountTmpfs(entry, options)
        default:
            try mountFilesystem(entry, options)
            try propagate(entry.destination, options)
        }
    }

    private func mountFilesystem(_ entry: Mount, _ options: MountOptions, type: String? = nil) throws(SystemError) {
        let target = try root.makeDirectory(entry.destination)
        try call(entry.source, target, type ?? entry.type, options.flags, options.data.joined(separator: ","))
    }

    private func bind(_ entry: Mount, _ source: String, _ options: MountOptions) throws {
        var info = stat()
        guard stat(source, &info) == 0 else {
            throw RPCError(.notFound, "mount at \(entry.destination): \(SystemError("stat", source))")
        }
        let isDirectory = info.st_mode & S_IFMT == S_IFDIR
        let target = isDirectory ? try root.makeDirectory(entry.destination) : try root.makeFile(entry.destination)
        try call(source, target, nil, UInt(MS_BIND) | options.flags & UInt(MS_REC), "")
        let change = options.flags & ~UInt(MS_BIND | MS_REC | MS_REMOUNT)
        if change != 0 || options.cleared != 0 {
            try remount(entry.destination, adding: change, removing: options.cleared)
        }
        try propagate(entry.destination, options)
    }

    /// With a cgroup namespace the container sees its own group as the root; without, that group is bound there.
    private func mountCgroup(_ entry: Mount, _ options: MountOptions) throws(SystemError) {
        var options = options
        options.data = []
        if request.namespaces.contains("cgroup") {
            try mountFilesystem(entry, options, type: "cgroup2")
        } else {
            let target = try root.makeDirectory(entry.destination)
            try call("\(Cgroup.mountPoint)/cloister/\(request.containerID)", target, nil, UInt(MS_BIND), "")
            try remount(entry.destination, adding: options.flags, removing: options.cleared)
        }
        try propagate(entry.destination, options)
    }

    private mutating func mountTmpfs(_ entry: Mount, _ options: MountOptions) throws(SystemError) {
        var writable = options
        writable.flags &= ~UInt(MS_RDONLY)
        let below = options.copiesUp ? try? root.open(entry.destination, O_RDONLY | ca_o_directory) : nil
        try mountFilesystem(entry, writable)
        if let below {
            let above = try root.open(entry.destination, O_RDONLY | ca_o_directory)
            try CopyUp.copyContents(of: below, to: above)
        }
        if options.flags & UInt(MS_RDONLY) != 0 { readOnlyLater.append(entry.destination) }
        try propagate(entry.destination, options)
    }

    private func propagate(_ destination: String, _ options: MountOptions) throws(SystemError) {
        for change in options.propagation { try call(nil, try root.open(destination), nil, change, "") }
        if options.recursivelySet != 0 || options.recursivelyCleared != 0 {
            let target = try root.open(destination)
            try syscall("mount_setattr", destination) {
                ca_mount_setattr(target.raw, 1, options.recursivelySet, options.recursivelyCleared)
            }
        }
    }

    /// Changes the flags of one mount, keeping those it has. The path is opened anew: what was opened before the mount
    /// is what lies under it.
    func remount(_ path: String, adding: UInt, removing: UInt) throws(SystemError) {
        let target = try root.open(path)
        let kept = try Self.mountFlags(target, path)
        let flags = (kept | adding) & ~removing
        try call(nil, target, nil, flags | UInt(MS_BIND | MS_REMOUNT), "")
    }

    /// statvfs(3)'s flags are mount(2)'s, but for the access times'.
    private static func mountFlags(_ handle: FileDescriptor, _ path: String) throws(SystemError) -> UInt {
        var info = statvfs()
        let fd = handle.raw
        try syscall("statvfs", path) { fstatvfs(fd, &info) }
        let same = UInt(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)
        let relatime: UInt = info.f_flag & 4096 != 0 ? UInt(MS_RELATIME) : 0
        return info.f_flag & same | relatime
    }

    func call(_ source: String?, _ target: FileDescriptor, _ type: String?, _ flags: UInt, _ data: String)
        throws(SystemError)
    {
        let path = ContainerRoot.path(of: target)
        try syscall("mount") { mount(source, path, type, flags, data.isEmpty ? nil : data) }
    }

    // MARK: Paths the container must not see or change

    /// Hides files behind `/dev/null` and directories behind an empty one. What is not there needs no hiding.
    func mask(_ paths: [String]) throws {
        for path in paths {
            guard let target = try existing(path) else { continue }
            var info = stat()
            let fd = target.raw
            try syscall("stat", path) { fstat(fd, &info) }
            do {
                if info.st_mode & S_IFMT == S_IFDIR {
                    try call("tmpfs", target, "tmpfs", UInt(MS_RDONLY), "size=0k,nr_inodes=2")
                } else {
                    try call("/dev/null", target, nil, UInt(MS_BIND), "")
                }
            } catch { throw SystemError("mask", path, errno: error.errno) }
        }
    }

    func makeReadOnly(_ paths: [String]) throws {
        for path in paths {
            guard let target = try existing(path) else { continue }
            do {
                try call(ContainerRoot.path(of: target), target, nil, UInt(MS_BIND | MS_REC), "")
                try remount(path, adding: UInt(MS_RDONLY), removing: 0)
            } catch { throw SystemError("make read-only", path, errno: error.errno) }
        }
    }

    private func existing(_ path: String) throws(SystemError) -> FileDescriptor? {
        do { return try root.open(path) } catch {
            if error.errno == ENOENT || error.errno == ENOTDIR { return nil }
            throw error
        }
    }
}

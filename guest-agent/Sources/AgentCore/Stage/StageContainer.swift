import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// The part of the init stage that concerns the container: it is made or joined, and what the process needs of it found.
enum StageContainer {
    struct Prepared {
        var user: UserIdentity
        var terminal: FileDescriptor?
    }

    /// Builds the container around this process, which the agent has started in the container's new namespaces.
    static func make(_ spec: ContainerSpec, _ request: StageRequest) throws -> Prepared {
        let ownMounts = request.namespaces.contains("mount")
        for (index, kind) in request.joinedKinds.enumerated() {
            try syscall("setns", "the \(kind) namespace of another container") {
                ca_setns(StageChannel.firstNamespaceDescriptor + Int32(index), ca_namespace_flag(kind))
            }
        }
        if request.namespaces.contains("cgroup") {
            try syscall("unshare", "cgroup") { ca_unshare(ca_namespace_flag("cgroup")) }
        }
        if request.namespaces.contains("network") { try syscall("loopback") { ca_loopback_up() } }
        if !spec.hostname.isEmpty {
            try syscall("sethostname") { sethostname(spec.hostname, spec.hostname.utf8.count) }
        }
        if !spec.domainname.isEmpty {
            try syscall("setdomainname") { setdomainname(spec.domainname, spec.domainname.utf8.count) }
        }
        if ownMounts {
            // Nothing mounted here is to be seen outside.
            try syscall("mount", "private") { mount(nil, "/", nil, UInt(MS_REC | MS_PRIVATE), nil) }
            // What is pivoted to must be a mount of its own.
            let path = request.rootfs
            try syscall("bind", path) { mount(path, path, nil, UInt(MS_BIND | MS_REC), nil) }
        }
        let root = try ContainerRoot(request.rootfs)
        var mounts = StageMounts(root: root, request: request)
        try mounts.mountAll(spec.mounts)

        let devices = StageDevices(root: root)
        let devIsBound = spec.mounts.contains {
            $0.destination.split(separator: "/") == ["dev"] && ($0.type == "bind" || MountOptions($0.options).isBind)
        }
        if !devIsBound { try devices.makeDefaults() }
        if spec.allDevices && !devIsBound { try devices.makeAll() }
        for device in spec.devices { try devices.make(device) }
        let process = request.process
        let terminal =
            process.terminal
            ? try devices.openTerminal(rows: process.rows, columns: process.columns, console: !devIsBound) : nil

        for (name, value) in spec.sysctls.sorted(by: { $0.key < $1.key }) { try setSysctl(name, value) }
        let user = try UserLookup(root: root).identity(process)
        // As container engines do for a WORKDIR that the image lacks.
        try root.makeDirectory(process.workingDirectory)

        try mounts.finish()
        try mounts.makeReadOnly(spec.readOnlyPaths)
        try mounts.mask(spec.maskedPaths)
        if spec.readOnlyRoot { try mounts.remount("/", adding: UInt(MS_RDONLY), removing: 0) }
        try enter(root, ownMounts: ownMounts, propagation: spec.rootfsPropagation)
        return Prepared(user: user, terminal: terminal)
    }

    /// Enters the namespaces of a container whose init is behind `StageChannel.joinedProcessDescriptor`.
    static func join(_ request: StageRequest) throws -> Prepared {
        // The PID namespace was entered by being born in it.
        let kinds = request.namespaces.filter { $0 != "pid" }.reduce(UInt64(0)) { $0 | ca_namespace_flag($1) }
        if kinds != 0 {
            try syscall("setns", "namespaces of container \(request.containerID)") {
                ca_setns(StageChannel.joinedProcessDescriptor, kinds)
            }
        }
        if !request.namespaces.contains("mount") {
            try syscall("chroot", request.rootfs) { chroot(request.rootfs) }
        }
        try syscall("chdir", "/") { chdir("/") }
        let root = try ContainerRoot("/")
        let process = request.process
        let terminal =
            process.terminal
            ? try StageDevices(root: root).openTerminal(rows: process.rows, columns: process.columns, console: false)
            : nil
        let user = try UserLookup(root: root).identity(process)
        return Prepared(user: user, terminal: terminal)
    }

    /// Makes `root` the root directory. With mounts of its own the process leaves nothing of the guest's behind it.
    private static func enter(_ root: ContainerRoot, ownMounts: Bool, propagation: String) throws {
        let directory = root.descriptor.raw
        try syscall("chdir", "rootfs") { fchdir(directory) }
        guard ownMounts else {
            try syscall("chroot", "rootfs") { chroot(".") }
            return
        }
        // Both at the same place: the old root lies over the new one and is taken off (pivot_root(2), NOTES).
        try syscall("pivot_root", "rootfs") { ca_pivot_root(".", ".") }
        try syscall("umount", "the guest's root") { umount2(".", ca_mnt_detach) }
        try syscall("chdir", "/") { chdir("/") }
        guard !propagation.isEmpty, propagation != "private" else { return }
        guard let flag = MountOptions.propagations[propagation] else {
            throw RPCError(
                .invalidArgument, "rootfsPropagation \"\(propagation)\" is none of private, slave, shared, unbindable")
        }
        try syscall("mount", "propagation \(propagation)") { mount(nil, "/", nil, flag, nil) }
    }

    /// Names as sysctl(8) has them: dots are slashes, unless the first separator is a slash.
    private static func setSysctl(_ name: String, _ value: String) throws {
        let dotted = name.first { $0 == "." || $0 == "/" } == "."
        let path = dotted ? String(name.map { $0 == "." ? "/" : $0 == "/" ? "." : $0 }) : name
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard !parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) else {
            throw RPCError(.invalidArgument, "\"\(name)\" cannot be a kernel parameter")
        }
        do { try Files.write("/proc/sys/\(path)", value) } catch {
            throw RPCError(.invalidArgument, "kernel parameter \(name) = \(value): \(error)")
        }
    }
}

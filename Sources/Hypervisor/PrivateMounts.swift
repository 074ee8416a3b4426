import CSystem
import Glibc
import System

/// What a root process's own view of the file system has to differ in from the host's, for libvirt and QEMU. The host's
/// files are untouched.
///
/// * libvirt's driver refuses to start as root where its built-in user name is unknown, even if another is configured:
///   `/etc/passwd` and `/etc/group` get that name if they lack it.
/// * `/dev/kvm` has to be openable by QEMU's unprivileged user, or by nobody. libvirt asks QEMU for its capabilities under
///   that user with CAP_DAC_OVERRIDE, finds KVM, then finds that the user itself cannot open it, and forgets all it learned:
///   it asks again a dozen times a start, 10 s. So with KVM there is a node of the same device with group access, and
///   with emulation one that cannot be opened.
/// * QEMU's user has to reach the kernel and the disks, which may lie below a home directory or in root's own store: those
///   that it cannot reach are mounted where it can.
enum PrivateMounts {
    /// The user and group that distributions build libvirt with.
    static let builtInNames = ["libvirt-qemu", "qemu"]
    private static let kvm = "/dev/kvm"

    /// Gives the calling thread, and those it starts later, a view of their own. Does nothing for an ordinary user, or where
    /// nothing has to differ.
    /// - Parameters:
    ///   - accelerator: what the machine will use.
    ///   - user: whom QEMU will run as: `MachineConfiguration.runAs`.
    ///   - files: what QEMU will open. Nobody is given access to a file, only a way to it.
    ///   - directory: an empty directory that `user` can reach.
    /// - Returns: for files that `user` could not reach, where they are found instead.
    /// - Throws: `SystemError`; a container without the right to mount gets EPERM.
    static func prepare(
        accelerator: Accelerator, user: MachineConfiguration.User?, files: [String], directory: String
    ) throws(SystemError) -> [String: String] {
        guard geteuid() == 0 else { return [:] }
        let overlays = ["/etc/passwd", "/etc/group"].compactMap { path in completed(path).map { (path, $0) } }
        let device = user.flatMap { deviceToReplace(accelerator, $0) }
        let hidden = user.map { user in Set(files).filter { !canReach(user, $0) } } ?? []
        if overlays.isEmpty && device == nil && hidden.isEmpty { return [:] }

        try syscall("unshare", "mount namespace") { cs_unshare_mounts() }
        // What the host mounts later is still seen here; nothing goes back.
        try syscall("mount", "/") { mount(nil, "/", nil, UInt(MS_REC | MS_SLAVE), nil) }
        try replace(overlays, device.map { ($0, accelerator == .kvm ? user?.gid : nil) }, directory)
        var places: [String: String] = [:]
        for (index, path) in hidden.sorted().enumerated() {
            let place = "\(directory)/\(index)"
            try Files.write(place, [])
            try bind(path, over: place)
            places[path] = place
        }
        return places
    }

    /// - Parameter device: the number of `/dev/kvm`, and the group that is to open it, nil for nobody.
    private static func replace(
        _ overlays: [(String, String)], _ device: (number: dev_t, group: gid_t?)?, _ directory: String
    ) throws(SystemError) {
        // A file system of its own, because the directory's may be mounted `nodev`.
        let flags = UInt(MS_NOSUID | MS_NOEXEC)
        try syscall("mount", directory) { mount("tmpfs", directory, "tmpfs", flags, "mode=0755,size=16m") }
        // Files stay while something is bound to them.
        defer { umount2(directory, Int32(MNT_DETACH)) }
        for (path, content) in overlays {
            let copy = "\(directory)/\(path.split(separator: "/").last ?? "")"
            try Files.write(copy, content, mode: 0o644)
            try bind(copy, over: path)
        }
        guard let device else { return }
        let node = "\(directory)/kvm"
        try syscall("mknod", node) { mknod(node, S_IFCHR, device.number) }
        try syscall("chown", node) { chown(node, 0, device.group ?? 0) }
        try syscall("chmod", node) { chmod(node, device.group == nil ? 0 : 0o660) }
        try bind(node, over: kvm)
        if device.group == nil {
            // What no capability overrides (mount(2), MS_NODEV).
            let flags = UInt(MS_REMOUNT | MS_BIND | MS_NODEV)
            try syscall("mount", kvm) { mount(nil, kvm, nil, flags, nil) }
        }
    }

    /// Whether every directory above a file lets the user through (path_resolution(7)); access lists are left to bind.
    static func canReach(_ user: MachineConfiguration.User, _ path: String) -> Bool {
        guard let resolved = realpath(path, nil) else { return true }
        defer { free(resolved) }
        var directory = Files.parent(of: String(cString: resolved))
        while true {
            var info = stat()
            guard stat(directory, &info) == 0 else { return false }
            let bit: mode_t = info.st_uid == user.uid ? 0o100 : info.st_gid == user.gid ? 0o010 : 0o001
            if info.st_mode & bit == 0 { return false }
            if directory == "/" { return true }
            directory = Files.parent(of: directory)
        }
    }

    private static func bind(_ source: String, over target: String) throws(SystemError) {
        try syscall("mount", target) { mount(source, target, nil, UInt(MS_BIND), nil) }
    }

    /// - Returns: the device number of `/dev/kvm` where it has to be replaced; nil where not, or where there is none.
    private static func deviceToReplace(_ accelerator: Accelerator, _ user: MachineConfiguration.User) -> dev_t? {
        var info = stat()
        guard user.uid != 0, stat(kvm, &info) == 0, info.st_mode & S_IFMT == S_IFCHR else { return nil }
        if accelerator == .emulation { return info.st_rdev }
        let everybody: mode_t = 0o006
        let ours: mode_t = 0o060
        let opens = info.st_mode & everybody == everybody || info.st_gid == user.gid && info.st_mode & ours == ours
        return opens ? nil : info.st_rdev
    }

    /// The database with libvirt's name in it; nil when it has it already, or cannot be read.
    private static func completed(_ path: String) -> String? {
        guard let text = try? Files.readText(path) else { return nil }
        let isPasswd = path == "/etc/passwd"
        return complete(text, isPasswd: isPasswd) { name in
            // Asks the C library, since the name may come from elsewhere than the file.
            isPasswd ? getpwnam(name) != nil : getgrnam(name) != nil
        }
    }

    static func complete(_ text: String, isPasswd: Bool, isKnown: (String) -> Bool) -> String? {
        let missing = builtInNames.filter { !isKnown($0) }
        guard !missing.isEmpty else { return nil }
        var result = text
        if !result.isEmpty && !result.hasSuffix("\n") { result += "\n" }
        for name in missing {
            result += isPasswd ? "\(name):x:65534:65534::/nonexistent:/usr/sbin/nologin\n" : "\(name):x:65534:\n"
        }
        return result
    }
}

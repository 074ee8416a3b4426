import Glibc
import Hypervisor
import Storage
import System

/// Block devices of the host that the sandbox's machine has as disks. QEMU gets nodes of its own, which its user may open: the
/// host's keep their owners.
final class HostDevices: Sendable {
    private struct State {
        var hasDirectory = false
        /// Files as devices, by their nodes, which last as long as these.
        var loops: [String: LoopDevice] = [:]
    }

    private let directory: String
    private let state = Guarded(State())

    /// - Parameter directory: for the nodes.
    init(_ directory: String) { self.directory = directory }

    /// Makes the directory, a mount in this process's own mount namespace, gone with it. QEMU sees it if it was there when
    /// QEMU started. Idempotent.
    func prepare() throws(SystemError) {
        try state.withLock { state throws(SystemError) in
            if state.hasDirectory { return }
            try Files.makeDirectories(directory, mode: 0o711)
            // The state directory's own filesystem may be mounted `nodev`.
            try Mounts.mount(
                "tmpfs", at: directory, type: "tmpfs", flags: UInt(MS_NOSUID | MS_NOEXEC), data: "mode=0711,size=1m")
            state.hasDirectory = true
        }
    }

    /// The filesystem of a mount, which is on a device or in a file.
    func disk(_ mount: HostMount, readOnly: Bool, serial: String) throws(SystemError) -> Hypervisor.Disk {
        var source = mount.source
        let loop = mount.isImage ? try LoopDevice(source, readOnly: readOnly) : nil
        if let loop { source = loop.path }
        var info = stat()
        try syscall("stat", source) { stat(source, &info) }
        let disk = try disk(DeviceNumber(info.st_rdev), readOnly: readOnly, serial: serial)
        state.withLock { $0.loops[disk.path] = loop }
        return disk
    }

    func disk(_ number: DeviceNumber, readOnly: Bool, serial: String) throws(SystemError) -> Hypervisor.Disk {
        try prepare()
        let node = "\(directory)/\(serial)"
        unlink(node)
        try syscall("mknod", node) { mknod(node, S_IFBLK | 0o600, number.raw) }
        return Hypervisor.Disk(path: node, readOnly: readOnly, serial: serial, isDevice: true)
    }

    /// A disk of the device, read-only also where the host can do no more.
    /// - Throws: `SystemError` where the device cannot be opened: by none, since QEMU's user is not asked for any right.
    func openableDisk(_ number: DeviceNumber, readOnly: Bool, serial: String) throws(SystemError) -> Hypervisor.Disk {
        // Opening some makes them.
        if Files.exists("/sys/dev/block"), !Files.exists("/sys/dev/block/\(number)") {
            throw SystemError("open", "block device \(number)", errno: ENXIO)
        }
        // One that the host only reads may open for writing all the same.
        let isReadOnly = readOnly || (try? Files.readText("/sys/dev/block/\(number)/ro"))?.hasPrefix("1") == true
        let disk = try disk(number, readOnly: isReadOnly, serial: serial)
        do throws(SystemError) {
            _ = try FileDescriptor.open(disk.path, (isReadOnly ? O_RDONLY : O_RDWR) | O_NONBLOCK)
        } catch {
            forget(disk)
            throw SystemError("open", "block device \(number)", errno: error.errno)
        }
        return disk
    }

    /// Removes the node, and lets go of the file. Idempotent.
    func forget(_ disk: Hypervisor.Disk) {
        unlink(disk.path)
        state.withLock { $0.loops[disk.path] = nil }
    }

    /// Lets go of all files, and takes the directory away. Idempotent.
    func release() {
        state.withLock { state in
            state.loops = [:]
            guard state.hasDirectory else { return }
            Mounts.detachAll(at: directory)
            rmdir(directory)
            state.hasDirectory = false
        }
    }
}

import Glibc
import Hypervisor
import Storage
import System

/// Block devices of the host that the sandbox's machine has as disks. QEMU gets nodes of its own, which its user may open: the
/// host's keep their owners.
final class HostDevices: Sendable {
    private struct State {
        var hasDirectory = false
        /// Files as devices, which last as long as these.
        var loops: [LoopDevice] = []
    }

    private let state = Guarded(State())

    /// - Parameter directory: for the nodes; made, in this process's own mount namespace, and gone with it.
    func disk(
        _ mount: HostMount, in directory: String, readOnly: Bool, serial: String
    ) throws(SystemError) -> Hypervisor.Disk {
        var source = mount.source
        if mount.isImage {
            let loop = try LoopDevice(source, readOnly: readOnly)
            source = loop.path
            state.withLock { $0.loops.append(loop) }
        }
        var info = stat()
        try syscall("stat", source) { stat(source, &info) }
        try state.withLock { state throws(SystemError) in
            if state.hasDirectory { return }
            try Files.makeDirectories(directory, mode: 0o711)
            // The state directory's own filesystem may be mounted `nodev`.
            try Mounts.mount(
                "tmpfs", at: directory, type: "tmpfs", flags: UInt(MS_NOSUID | MS_NOEXEC), data: "mode=0711,size=1m")
            state.hasDirectory = true
        }
        let node = "\(directory)/\(serial)"
        unlink(node)
        try syscall("mknod", node) { mknod(node, S_IFBLK | 0o600, info.st_rdev) }
        return Hypervisor.Disk(path: node, readOnly: readOnly, serial: serial, isDevice: true)
    }

    /// Lets go of the files. Idempotent.
    func release() { state.withLock { $0.loops = [] } }
}

import AgentAPI
import CAgent
import Glibc
import System

/// A container's root as the agent mounts it: an overlay (kernel `Documentation/filesystems/overlayfs.rst`) of shared
/// read-only layer disks under one writable directory; or a directory of the share,
/// or a disk.
final class RootfsMount: Sendable {
    private struct State {
        var layers: [Disk] = []
        var writable: String?
        var isMounted = false
    }

    private static let directory = "/run/c"

    let path: String
    private let base: String
    private let disks: Disks
    private let state = Guarded(State())

    /// - Throws: `RPCError` for disks that are not there, `SystemError` for what cannot be mounted.
    init(_ rootfs: Rootfs, containerID: String, disks: Disks) throws {
        base = "\(Self.directory)/\(containerID)"
        path = "\(base)/rootfs"
        self.disks = disks
        do { try mountAll(rootfs) } catch {
            unmount()
            throw error
        }
    }

    private func mountAll(_ rootfs: Rootfs) throws {
        try Files.makeDirectories(path, mode: 0o755)
        if !rootfs.sharePath.isEmpty { return try bindShared(rootfs.sharePath) }
        if let disk = rootfs.disk { return try mountDisk(disk, MountOptions(rootfs.options)) }
        let all = rootfs.layers + (rootfs.writable.map { [$0] } ?? [])
        let devices = all.isEmpty ? [:] : try disks.devices(all.map(\.serial))
        var lower: [String] = []
        for layer in rootfs.layers {
            let path = try disks.mountShared(layer, device: devices[layer.serial] ?? "")
            state.withLock { $0.layers.append(layer) }
            lower.append(path)
        }
        let writable = try disks.mountWritable(rootfs.writable, device: rootfs.writable.flatMap { devices[$0.serial] })
        state.withLock { $0.writable = writable }
        for name in ["upper", "work", "lower"] { try Files.makeDirectories("\(writable)/\(name)", mode: 0o755) }
        // Without layers the root is an empty directory that can be written to.
        if lower.isEmpty { lower = ["\(writable)/lower"] }
        let options =
            "lowerdir=\(lower.reversed().joined(separator: ":")),upperdir=\(writable)/upper,workdir=\(writable)/work"
        let path = path
        try syscall("mount", "the overlay of \(lower.count) layers") { mount("overlay", path, "overlay", 0, options) }
        state.withLock { $0.isMounted = true }
        let complete = zip(rootfs.layers, lower).filter { $0.0.isComplete }.map(\.1)
        try ImplicitDirectories.complete(overlay: path, lowestFirst: lower, completeLayers: Set(complete))
    }

    private func bindShared(_ name: String) throws {
        let source = try Share.path(ofShared: name)
        try Mounts.mount(source, at: path, type: nil, flags: UInt(MS_BIND))
        state.withLock { $0.isMounted = true }
    }

    private func mountDisk(_ disk: Disk, _ options: MountOptions) throws {
        let devices = try disks.devices([disk.serial])
        try Mounts.mount(
            devices[disk.serial], at: path, type: disk.filesystem, flags: options.flags,
            data: options.data.joined(separator: ","))
        state.withLock { $0.isMounted = true }
    }

    /// Undoes whatever was done. May be called any number of times.
    func unmount() {
        let done = state.withLock { state in
            defer { state = State() }
            return state
        }
        if done.isMounted, umount2(path, 0) != 0, umount2(path, ca_mnt_detach) != 0 {
            Log.error("\(SystemError("umount", path))")
        }
        if let writable = done.writable { Disks.unmount(writable) }
        for layer in done.layers { disks.releaseShared(layer) }
        rmdir(path)
        rmdir(base)
    }
}

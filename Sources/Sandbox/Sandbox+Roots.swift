import AgentAPI
import Glibc
import Hypervisor
import OCISpec
import Storage
import System

extension Sandbox {
    /// Gives a container its root.
    /// - Returns: the disks that it needs.
    func place(_ root: ContainerRoot, for request: inout CreateContainerRequest) throws -> [Hypervisor.Disk] {
        switch root {
        case .images(let images): return try disks(images, for: &request)
        case .mounts(let mounts):
            guard !mounts.isEmpty else { throw SandboxError(.invalid, "the container's root has no mounts") }
            if let disk = try disk(mounts, for: &request) { return [disk] }
            request.rootfs.sharePath = try share(for: request.containerID) { tree throws(SystemError) in
                try tree.addRoot(mounts)
            }
        case .directory(let path):
            let copy = try configuration.copyOfHost(path)
            request.rootfs.sharePath = try share(for: request.containerID) { tree throws(SystemError) in
                try tree.addRoot(copy)
            }
        }
        return []
    }

    /// A root that is one filesystem on a block device, or in a file, becomes a disk of the machine.
    private func disk(
        _ mounts: [HostMount], for request: inout CreateContainerRequest
    ) throws -> Hypervisor.Disk? {
        guard let mount = mounts.first, mounts.count == 1, mount.isDevice || mount.isImage,
            Self.guestFilesystems.contains(mount.type)
        else { return nil }
        var options = mount.options.filter { $0 != "loop" }
        let isReadOnly = MountOptions(options).flags & UInt(MS_RDONLY) != 0
        let disk: Hypervisor.Disk
        do {
            disk = try devices.disk(mount, readOnly: isReadOnly, serial: newSerial())
        } catch {
            throw SandboxError(.failed, "the root of container \(request.containerID) cannot become a disk: \(error)")
        }
        // Nothing in the share, but its deletion has to wait for the guest's unmounting too, which writes it back.
        state.withLock { $0.shared[request.containerID] = [] }
        if isReadOnly && !options.contains("ro") { options.append("ro") }
        var part = AgentAPI.Disk()
        part.serial = disk.serial
        part.filesystem = mount.type
        request.rootfs.disk = part
        request.rootfs.options = options
        return disk
    }

    /// What the guest's kernel mounts from disks (`kernel-config/40-filesystems.config`).
    private static let guestFilesystems: Set<String> = ["ext4", "erofs"]

    private func disks(
        _ images: [RootfsImage], for request: inout CreateContainerRequest
    ) throws(SandboxError) -> [Hypervisor.Disk] {
        let layers: LayerDisks
        do throws(SystemError) { layers = try LayerDisks(images.filter(\.readOnly)) } catch {
            throw SandboxError(.failed, "a layer cannot become a disk: \(error)")
        }
        guard !layers.disks.isEmpty else { throw SandboxError(.invalid, "the container's root has no layers") }
        request.rootfs.layers = layers.places
        let writable = images.filter { !$0.readOnly }
        guard writable.count <= 1 else {
            throw SandboxError(.invalid, "a container's root takes one writable image, and two were given")
        }
        guard let image = writable.first else { return layers.disks }
        var place = AgentAPI.Disk()
        place.serial = "writable"
        place.filesystem = image.filesystem
        request.rootfs.writable = place
        return layers.disks + [Hypervisor.Disk(path: image.path, readOnly: false, serial: place.serial)]
    }

    /// Gives a container its mounts, those of the host's directories through the share.
    func place(_ mounts: [RuntimeSpec.Mount], bundle: String, for request: inout CreateContainerRequest) throws {
        for (index, mount) in mounts.enumerated() {
            var result = AgentAPI.Mount(mount)
            switch try Volume(mount, bundle: bundle) {
            case .guests: break
            case .shared(let volume, let options):
                result.sharePath = try share(for: request.containerID) { tree throws(SystemError) in
                    try tree.add(volume)
                }
                result.options = options
            case .mounted(let mount):
                result.sharePath = try share(for: request.containerID) { tree throws(SystemError) in
                    try tree.addRoot([mount])
                }
                result.type = "bind"
                result.options = ["bind"]
            case .device(let device): result.device = Device(device)
            case .commonTmpfs(let name, let sizeInBytes):
                result.commonTmpfs = name
                result.options = ["nosuid", "nodev", "noexec", "mode=1777", "size=\(sizeInBytes)"]
            }
            request.spec.mounts[index] = result
        }
    }

    /// Adds something to the share for a container, with which it goes.
    private func share(
        for container: String, _ add: (ShareTree) throws(SystemError) -> String
    ) throws -> String {
        let tree = try shareTree()
        let name: String
        do { name = try add(tree) } catch {
            throw SandboxError(.failed, "the host's files cannot be given to container \(container): \(error)")
        }
        state.withLock { $0.shared[container, default: []].append(name) }
        return name
    }
}

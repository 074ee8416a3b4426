import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// The guest's disks, found by serial and mounted once however many containers use them.
final class Disks: Sendable {
    private struct Mounted {
        var path: String
        var users: Int
    }

    private struct State {
        var mounted: [Place: Mounted] = [:]
        var nextNumber = 0
        /// Device files of parts of disks.
        var parts: [Place: String] = [:]
    }

    /// Where a filesystem lies.
    private struct Place: Hashable {
        var serial: String
        var offsetInBytes: UInt64

        init(_ disk: Disk) { (serial, offsetInBytes) = (disk.serial, disk.offsetInBytes) }
    }

    /// Paths are short because all of a container's layers stand in one mount option string, which is limited to a page.
    private static let directory = "/run/l"
    private static let appearTimeout = Duration.seconds(10)

    private let events: DeviceEvents
    private let state = Guarded(State())

    init(events: DeviceEvents) { self.events = events }

    /// The device files of disks, waiting for those that have not been plugged in yet.
    /// - Throws: `RPCError` `invalidArgument` for a serial that cannot be one, `notFound` for a disk that did not come.
    func devices(_ serials: [String]) throws -> [String: String] {
        for serial in serials where serial.isEmpty || serial.utf8.count > 20 || serial.utf8.contains(UInt8(ascii: "/"))
        {
            throw RPCError(.invalidArgument, "\"\(serial)\" cannot be a disk's serial: 1 to 20 bytes without a slash")
        }
        var found: [String: String] = [:]
        let all: Bool? = events.wait(timeout: Self.appearTimeout) {
            found = Self.present()
            return serials.allSatisfy { found[$0] != nil } ? true : nil
        }
        if all == nil, let missing = serials.first(where: { found[$0] == nil }) {
            throw RPCError(
                .notFound,
                "no disk with serial \"\(missing)\" appeared within \(Self.appearTimeout.components.seconds) s")
        }
        return found
    }

    /// Gives the nodes and rules of a specification that are for disks the numbers that those have here.
    func number(_ spec: inout ContainerSpec) throws {
        let nodes = spec.devices + spec.mounts.compactMap(\.device)
        let named = nodes.map(\.disk) + spec.resources.deviceRules.map(\.disk)
        let serials = Set(named).subtracting([""]).sorted()
        if serials.isEmpty { return }
        let numbers = try devices(serials).filter { serials.contains($0.key) }.mapValues { path throws(SystemError) in
            var info = stat()
            try syscall("stat", path) { stat(path, &info) }
            return DeviceNumber(info.st_rdev)
        }
        for index in spec.devices.indices { spec.devices[index].take(numbers[spec.devices[index].disk]) }
        for index in spec.mounts.indices {
            guard let device = spec.mounts[index].device else { continue }
            spec.mounts[index].device?.take(numbers[device.disk])
        }
        for index in spec.resources.deviceRules.indices {
            guard let number = numbers[spec.resources.deviceRules[index].disk] else { continue }
            spec.resources.deviceRules[index].major = number.major
            spec.resources.deviceRules[index].minor = number.minor
        }
    }

    /// Mounts a filesystem read-only at a place of its own, or adds a user to the mount that is already there.
    /// - Parameter device: the device file of the disk that it lies on.
    /// - Returns: where it is mounted.
    func mountShared(_ disk: Disk, device: String) throws(SystemError) -> String {
        try state.withLock { state throws(SystemError) in
            let place = Place(disk)
            if let known = state.mounted[place] {
                state.mounted[place]?.users += 1
                return known.path
            }
            let device = try Self.device(of: disk, on: device, &state)
            let path = try Self.makeMountPoint(&state)
            do throws(SystemError) {
                try syscall("mount", "disk \(disk.serial) (\(disk.filesystem))") {
                    mount(device, path, disk.filesystem, UInt(MS_RDONLY | MS_NODEV), nil)
                }
            } catch {
                rmdir(path)
                throw error
            }
            state.mounted[place] = Mounted(path: path, users: 1)
            return path
        }
    }

    /// The device file of a filesystem: the disk's own, or that of a partition, which the kernel is told of here: a disk of
    /// several filesystems has no table of them.
    private static func device(of disk: Disk, on whole: String, _ state: inout State) throws(SystemError) -> String {
        if disk.sizeInBytes == 0 { return whole }
        let place = Place(disk)
        if let known = state.parts[place] { return known }
        let number = 1 + state.parts.keys.count { $0.serial == disk.serial }
        let descriptor = try FileDescriptor.open(whole, O_RDONLY)
        try syscall("partition", "disk \(disk.serial) at \(disk.offsetInBytes)") {
            ca_add_partition(descriptor.raw, Int32(number), disk.offsetInBytes, disk.sizeInBytes)
        }
        let part = "\(whole)\(number)"
        state.parts[place] = part
        return part
    }

    /// Takes a user away; the last one's going unmounts the disk.
    func releaseShared(_ disk: Disk) {
        let place = Place(disk)
        state.withLock { state in
            guard var known = state.mounted[place] else { return }
            known.users -= 1
            if known.users > 0 {
                state.mounted[place] = known
                return
            }
            state.mounted[place] = nil
            Self.unmount(known.path)
        }
    }

    /// Mounts a disk, or a tmpfs where there is none, writable for one user alone. - Returns: where it is mounted.
    func mountWritable(_ disk: Disk?, device: String?) throws(SystemError) -> String {
        let path = try state.withLock { state throws(SystemError) in try Self.makeMountPoint(&state) }
        do throws(SystemError) {
            if let disk, let device {
                try syscall("mount", "disk \(disk.serial) (\(disk.filesystem))") {
                    mount(device, path, disk.filesystem, 0, nil)
                }
            } else {
                try syscall("mount", "tmpfs") { mount("tmpfs", path, "tmpfs", 0, "mode=0755") }
            }
        } catch {
            rmdir(path)
            throw error
        }
        return path
    }

    /// Unmounts what `mountWritable` mounted.
    static func unmount(_ path: String) {
        if umount2(path, 0) != 0, umount2(path, ca_mnt_detach) != 0 { Log.error("\(SystemError("umount", path))") }
        rmdir(path)
    }

    /// Unmounts what `mountWritable` mounted and reports if that, and hence what was written, failed.
    static func unmountOrFail(_ path: String) throws(SystemError) {
        let disk = try FileDescriptor.open(path, O_RDONLY | ca_o_directory)
        // umount(2) writes everything back but does not say whether it could.
        try syscall("sync", path) { ca_syncfs(disk.raw) }
        disk.close()
        try syscall("umount", path) { umount2(path, 0) }
        rmdir(path)
    }

    private static func makeMountPoint(_ state: inout State) throws(SystemError) -> String {
        let path = "\(directory)/\(state.nextNumber)"
        state.nextNumber += 1
        try Files.makeDirectories(path)
        return path
    }

    /// Device files by serial.
    private static func present() -> [String: String] {
        var result: [String: String] = [:]
        for name in (try? Files.list("/sys/block")) ?? [] {
            guard let text = try? Files.readText("/sys/block/\(name)/serial", limit: 4096) else { continue }
            let serial = text.split(separator: "\n", omittingEmptySubsequences: false).first.map(String.init) ?? ""
            // The node is made after the device is shown, and an event comes after that.
            if !serial.isEmpty, Files.exists("/dev/\(name)") { result[serial] = "/dev/\(name)" }
        }
        return result
    }
}

extension Device {
    fileprivate mutating func take(_ number: DeviceNumber?) {
        guard let number else { return }
        (major, minor) = (number.major, number.minor)
    }
}

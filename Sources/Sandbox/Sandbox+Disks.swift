import AgentAPI
import Glibc
import Hypervisor
import OCISpec
import System

extension Sandbox {
    /// For the guest to take its hands off a disk: it has unmounted it by then.
    private static let patienceWithGuest = Duration.seconds(10)

    /// A name for a disk, never used again: the guest may remember one that has gone.
    func newSerial() -> String {
        let number = state.withLock { state in
            defer { state.nextDisk += 1 }
            return state.nextDisk
        }
        return "host-\(number)"
    }

    private var plugging: PluggedDisks.Machine {
        let (machine, user) = state.withLock { ($0.machine, $0.user) }
        return PluggedDisks.Machine(
            plug: { disk, port in
                guard let machine else { throw SandboxError(.wrongState, "the sandbox does not run") }
                if let user { try syscall("chown", disk.path) { chown(disk.path, user.uid, user.gid) } }
                try machine.plug(disk, port: port)
            },
            unplug: { disk in try machine?.unplug(disk, timeout: Self.patienceWithGuest) },
            forget: { [devices] in devices.forget($0) })
    }

    /// Gives the running machine the disk of a container's root.
    func plug(_ disk: Hypervisor.Disk, for container: String) throws {
        do {
            _ = try plugged.add(readOnly: disk.readOnly, for: container, plugging) { disk }
        } catch {
            devices.forget(disk)
            throw SandboxError(.failed, "the root of container \(container) cannot become a disk: \(error)")
        }
    }

    /// Gives the machine, which runs, the host's block devices that a container is to have, as disks.
    /// - Parameter rules: which devices the container may use, by the host's numbers.
    func plugDevices(for request: inout CreateContainerRequest, as rules: [RuntimeSpec.DeviceRule]) throws {
        let rules = request.spec.allDevices ? [] : rules.map(DeviceRule.init)
        var given: [String: DeviceAccess] = [:]
        func give(_ device: inout Device) throws {
            let named = DeviceNumber(major: device.major, minor: device.minor)
            guard device.type == "b", let number = named else { return }
            let access = DeviceAccess(to: number, rules)
            // A node that cannot be opened needs nothing behind it.
            if access.isEmpty { return }
            do {
                let isReadOnly = !access.contains(.write)
                let disk = try plugged.add(number, readOnly: isReadOnly, for: request.containerID, plugging) {
                    try devices.openableDisk(number, readOnly: isReadOnly, serial: newSerial())
                }
                device.disk = disk.serial
                given[disk.serial, default: []].formUnion(access)
            } catch {
                let isMissing = (error as? SystemError)?.errno == ENXIO
                throw SandboxError(
                    .failed,
                    "the host's block device \(number) cannot become the container's \(device.path): "
                        + (isMissing ? "the host has no block device \(number)" : "\(error)"))
            }
        }
        for index in request.spec.devices.indices {
            try give(&request.spec.devices[index])
        }
        for index in request.spec.mounts.indices {
            guard var device = request.spec.mounts[index].device else { continue }
            try give(&device)
            request.spec.mounts[index].device = device
        }
        if rules.isEmpty { return }
        for (serial, access) in given.sorted(by: { $0.key < $1.key }) {
            request.spec.resources.deviceRules += access.rules(disk: serial)
        }
    }

    /// Takes a container's disks from the guest, which no longer uses them. Idempotent.
    func releaseDisks(by container: String) {
        guard let failure = plugged.release(by: container, plugging) else { return }
        // With the machine all its disks go.
        guard case .running = state.withLock({ $0.phase }) else { return }
        configuration.log("a disk of container \(container) stays with its sandbox: \(failure)")
    }
}

/// Opening a device for reading and for writing; making nodes is not looked at.
struct DeviceAccess: OptionSet {
    var rawValue: Int
    static let read = DeviceAccess(rawValue: 1)
    static let write = DeviceAccess(rawValue: 2)
    private static let letters: [(letter: Character, access: DeviceAccess)] = [("r", .read), ("w", .write)]
}

extension DeviceAccess {
    /// What rules (config-linux.md, "Allowed Device list") allow of a block device: the last one that fits decides.
    init(to number: DeviceNumber, _ rules: [DeviceRule]) {
        self = []
        for (letter, access) in Self.letters {
            let last = rules.last { rule in
                ["", "a", "b"].contains(rule.type) && [nil, -1, number.major].contains(rule.major)
                    && [nil, -1, number.minor].contains(rule.minor)
                    && (rule.access.isEmpty || rule.access.contains(letter))
            }
            if rules.isEmpty || last?.allow == true { insert(access) }
        }
    }

    /// The same of a disk of the guest's, whatever other rules say.
    func rules(disk: String) -> [DeviceRule] {
        func rule(_ allow: Bool, _ access: String) -> DeviceRule {
            var rule = DeviceRule()
            (rule.allow, rule.type, rule.access, rule.disk) = (allow, "b", access, disk)
            return rule
        }
        let letters = Self.letters.filter { contains($0.access) }.map { String($0.letter) }.joined()
        return [rule(false, "rw"), rule(true, letters + "m")]
    }
}

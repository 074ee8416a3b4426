import Hypervisor
import System

/// Disks that a running machine was given, and whose they are. Safe from any thread: one change at a time.
final class PluggedDisks: Sendable {
    /// What the machine is asked to do.
    struct Machine {
        var plug: (_ disk: Disk, _ port: Int) throws -> Void
        /// Returns when nothing holds the disk any more.
        var unplug: (Disk) throws -> Void
        /// Lets go of what the disk was made of.
        var forget: (Disk) -> Void
    }

    private struct Entry {
        var disk: Disk
        var port: Int
        /// The host's device, for others to share the disk; nil for one that is nobody else's.
        var device: DeviceNumber?
        /// Ids of containers.
        var users: Set<String>
    }

    private let entries = Guarded<[Entry]>([])

    /// Gives a container a disk. One of the same device that allows as much is shared: two would not see what is written to
    /// the other.
    /// - Parameter make: for a disk that is not there yet.
    /// - Returns: the disk, which may allow more than was asked for.
    func add(
        _ device: DeviceNumber? = nil, readOnly: Bool, for container: String, _ machine: Machine,
        make: () throws -> Disk
    ) throws -> Disk {
        try entries.withLock { entries in
            let known = entries.firstIndex { entry in
                entry.device != nil && entry.device == device && (readOnly || !entry.disk.readOnly)
            }
            if let index = known {
                entries[index].users.insert(container)
                return entries[index].disk
            }
            let taken = Set(entries.map(\.port))
            guard let port = (0..<MachineConfiguration.mostPluggedDisks).first(where: { !taken.contains($0) }) else {
                throw SandboxError(
                    .failed,
                    "the sandbox has \(taken.count) disks plugged in already, as many as fit; give this one to another")
            }
            let disk = try make()
            do { try machine.plug(disk, port) } catch {
                machine.forget(disk)
                throw error
            }
            entries.append(Entry(disk: disk, port: port, device: device, users: [container]))
            return disk
        }
    }

    /// Takes a container's disks away, those that no other has. One that cannot be taken away stays, for nobody, until the
    /// machine ends.
    /// - Returns: why one could not.
    func release(by container: String, _ machine: Machine) -> (any Error)? {
        entries.withLock { entries in
            var failure: (any Error)?
            for index in entries.indices.reversed() where entries[index].users.remove(container) != nil {
                guard entries[index].users.isEmpty else { continue }
                do { try machine.unplug(entries[index].disk) } catch {
                    failure = error
                    entries[index].device = nil
                    continue
                }
                machine.forget(entries[index].disk)
                entries.remove(at: index)
            }
            return failure
        }
    }

    func has(_ container: String) -> Bool { entries.withLock { $0.contains { $0.users.contains(container) } } }
}

import CSystem
import Glibc
import System

/// Repeats in the share what the host mounts and unmounts below a volume's source.
///
/// The kernel would do it by itself (mount propagation), but then the host could not unmount what a guest has looked at:
/// virtiofsd has it open, and what is busy in one namespace is busy in all. So these copies are nobody's slaves, and are taken
/// off however busy they are.
final class ShareFollower: Sendable {
    fileprivate struct Volume {
        var source: String
        var isReadOnly: Bool
        /// The volume's own mount, in the share.
        var root: FileDescriptor
        /// By place below the source.
        var copies: [String: Copy] = [:]

        init(source: String, isReadOnly: Bool, root: FileDescriptor) {
            self.source = source
            self.isReadOnly = isReadOnly
            self.root = root
        }
    }

    fileprivate struct Copy {
        /// Of the mounts there, of which one can be seen; more than one where a volume was bound over itself.
        var numbers: Set<UInt64>
        /// nil: could not be made.
        var tree: MountTree?
    }

    private struct State {
        var volumes: [String: Volume] = [:]
        var isWatching = false
    }

    private let state = Guarded(State())

    /// Repeats what is mounted below the source now, and from now on.
    /// - Parameters:
    ///   - name: of the volume, for `remove`.
    ///   - path: where the source, without what is mounted below it, is mounted in the share.
    func add(_ name: String, source: String, at path: String, readOnly: Bool) throws(SystemError) {
        guard let resolved = realpath(source, nil) else { throw SystemError("realpath", source) }
        defer { free(resolved) }
        let root = try FileDescriptor.open(path, cs_o_path | O_DIRECTORY)
        let volume = Volume(source: String(cString: resolved), isReadOnly: readOnly, root: root)
        let table = try MountTable()
        let isFirst = state.withLock { state in
            state.volumes[name] = volume
            defer { state.isWatching = true }
            return !state.isWatching
        }
        if isFirst { Thread.start("mounts") { while (try? table.waitForChange()) != nil { self.repeatMounts(table) } } }
        repeatMounts(table)
    }

    /// Lets go of a volume, whose mounts are taken off with it.
    func remove(_ name: String) { _ = state.withLock { $0.volumes.removeValue(forKey: name) } }

    private func repeatMounts(_ table: MountTable) {
        guard let mounts = try? table.read() else { return }
        state.withLock { state in
            for name in state.volumes.keys { state.volumes[name]?.follow(mounts) }
        }
    }
}

extension ShareFollower.Volume {
    fileprivate mutating func follow(_ mounts: [MountTable.Entry]) {
        let prefix = source + "/"
        var wanted: [String: Set<UInt64>] = [:]
        for mount in mounts where mount.path.hasPrefix(prefix) {
            wanted[String(mount.path.dropFirst(prefix.count)), default: []].insert(mount.number)
        }
        let gone = copies.filter { wanted[$0.key] != $0.value.numbers }.keys
        // What lies upon a mount goes with it.
        for place in copies.keys where gone.contains(where: { place == $0 || place.hasPrefix($0 + "/") }) {
            copies.removeValue(forKey: place)?.tree?.detach()
        }
        for (place, numbers) in wanted.sorted(by: { $0.key < $1.key }) where copies[place] == nil {
            // What is gone again, or where the guest has put something else meanwhile, is left out.
            copies[place] = ShareFollower.Copy(numbers: numbers, tree: try? copy(prefix + place, to: place))
        }
    }

    /// The guest may have made links of the directories in between: none is followed out of the volume.
    private func copy(_ path: String, to place: String) throws(SystemError) -> MountTree {
        let target = try root.openBeneath(place, cs_o_path)
        let tree = try MountTree(copying: path, recursively: false)
        try tree.isolate()
        if isReadOnly { try tree.makeReadOnly(recursively: false) }
        try tree.attach(at: "/proc/thread-self/fd/\(target.raw)", followsLink: true)
        return tree
    }
}

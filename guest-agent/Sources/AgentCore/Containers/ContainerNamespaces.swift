import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// Which namespaces a container has of its own, and which it shares with others of the guest.
final class ContainerNamespaces: Sendable {
    /// Kinds made new.
    let own: [String]
    /// Namespaces of other containers, by kind.
    let joined: [String: FileDescriptor]
    /// The own ones that live without their processes, kept for containers that join later: a namespace is joined by the
    /// container's id, whose init may have ended by then.
    private let held = Guarded<[String: FileDescriptor]>([:])

    /// Kinds that containers can share: mounts and control groups are what makes a container, and a user namespace would
    /// have to own the other ones.
    private static let shareable = ["ipc", "network", "pid", "time", "uts"]
    /// Names below `/proc/PID/ns` (namespaces(7)).
    private static let files = ["ipc": "ipc", "network": "net", "pid": "pid", "time": "time", "uts": "uts"]

    /// - Throws: `RPCError` for a kind that cannot be, or a container that is not there.
    init(_ spec: ContainerSpec, of agent: AgentProcess) throws(RPCError) {
        for kind in spec.namespaces where ca_namespace_flag(kind) == 0 {
            throw RPCError(.invalidArgument, "there is no kind of namespace called \"\(kind)\"")
        }
        own = spec.namespaces
        var joined: [String: FileDescriptor] = [:]
        for (kind, id) in spec.joinedNamespaces.sorted(by: { $0.key < $1.key }) {
            guard Self.shareable.contains(kind), !spec.namespaces.contains(kind) else {
                throw RPCError(.invalidArgument, "a container cannot share the \(kind) namespace of another")
            }
            joined[kind] = try agent.container(id).namespaces.namespace(kind, of: id)
        }
        self.joined = joined
    }

    /// `CLONE_NEW*` for the birth of the container's init.
    var cloneFlags: UInt64 {
        // The stage makes its control groups' namespace itself: made here it would be rooted in the agent's group.
        own.filter { $0 != "cgroup" }.reduce(0) { $0 | ca_namespace_flag($1) }
    }

    /// What the stage enters; a PID namespace is entered by being born in it.
    var joinedByStage: [String] { joined.keys.filter { $0 != "pid" }.sorted() }

    /// Every kind in which the container differs from the guest.
    var all: [String] { own + joined.keys }

    /// Opens the namespaces of the container's init, which has just been born in them.
    func hold(pid: pid_t) {
        var opened = joined
        for kind in own {
            // An init that is gone already is noticed by who waits for it.
            guard let file = Self.files[kind], let open = try? FileDescriptor.open("/proc/\(pid)/ns/\(file)", O_RDONLY)
            else { continue }
            opened[kind] = open
        }
        let all = opened
        held.withLock { $0 = all }
    }

    private func namespace(_ kind: String, of id: String) throws(RPCError) -> FileDescriptor {
        guard let descriptor = held.withLock({ $0[kind] }) else {
            throw RPCError(.failedPrecondition, "container \(id) has no \(kind) namespace of its own to share")
        }
        return descriptor
    }
}

import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// What the guest has of the host's: the share, mounted when it is first used, and of its own for all containers in common.
final class Share: Sendable {
    private struct State {
        var isMounted = false
        var tmpfs: Set<String> = []
        /// How many containers use a name.
        var users: [String: Int] = [:]
    }

    static let directory = "/run/share"
    private static let commonDirectory = "/run/common"

    private let state = Guarded(State())

    /// Mounts what a container's root and mounts refer to, as far as it is not yet.
    ///
    /// What the host has mounted in the share is a filesystem of its own to the guest, which the kernel mounts when it is
    /// first walked through. Here, once: mounted for each container by itself, the same file would be several to the kernel,
    /// with caches, locks and sockets of their own.
    /// - Returns: the names in the share, for `forget`.
    /// - Throws: `RPCError`, `SystemError`.
    func prepare(_ request: CreateContainerRequest) throws -> [String] {
        let names = ([request.rootfs.sharePath] + request.spec.mounts.map(\.sharePath)).filter { !$0.isEmpty }
        if !names.isEmpty { try mountShare() }
        for name in names {
            let path = try Self.path(ofShared: name)
            state.withLock { state in
                // The slash is what makes the kernel mount; of a file it is an error.
                _ = access("\(path)/", F_OK)
                state.users[name, default: 0] += 1
            }
        }
        for mount in request.spec.mounts where !mount.commonTmpfs.isEmpty { try mountTmpfs(mount) }
        return names
    }

    private func mountShare() throws(SystemError) {
        try state.withLock { state throws(SystemError) in
            if state.isMounted { return }
            try Files.makeDirectories(Self.directory, mode: 0o700)
            // What the host has mounted below is mounted by the kernel when it is first walked through, with these flags.
            try Mounts.mount(Agent.shareTag, at: Self.directory, type: "virtiofs")
            state.isMounted = true
        }
    }

    private func mountTmpfs(_ mount: Mount) throws {
        let path = try Self.path(ofCommon: mount.commonTmpfs)
        try state.withLock { state throws(SystemError) in
            guard !state.tmpfs.contains(mount.commonTmpfs) else { return }
            let options = MountOptions(mount.options)
            try Files.makeDirectories(path, mode: 0o755)
            try Mounts.mount(
                "tmpfs", at: path, type: "tmpfs", flags: options.flags & ~UInt(MS_BIND | MS_REC | MS_RDONLY),
                data: options.data.joined(separator: ","))
            state.tmpfs.insert(mount.commonTmpfs)
        }
    }

    /// - Throws: `RPCError` `invalidArgument` for a name that leads elsewhere.
    static func path(ofShared name: String) throws(RPCError) -> String { try path(directory, name) }

    static func path(ofCommon name: String) throws(RPCError) -> String { try path(commonDirectory, name) }

    private static func path(_ directory: String, _ name: String) throws(RPCError) -> String {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard !parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) else {
            throw RPCError(.invalidArgument, "\"\(name)\" is no name in the share")
        }
        return "\(directory)/\(name)"
    }

    /// Takes off what nobody uses any more, and lets go of what the host takes away now. The kernel remembers a name, and with
    /// it keeps the host's file open, until it looks for it again when it no longer trusts its memory, which is after a second.
    func forget(_ names: [String]) {
        for name in names {
            state.withLock { state in
                let rest = (state.users[name] ?? 1) - 1
                state.users[name] = rest > 0 ? rest : nil
                guard rest <= 0, let path = try? Self.path(ofShared: name) else { return }
                while umount2(path, ca_mnt_detach) == 0 {}
            }
        }
        if names.isEmpty { return }
        Thread.start("forget") {
            sleep(2)
            for name in names { _ = access("\(Self.directory)/\(name)", F_OK) }
        }
    }
}

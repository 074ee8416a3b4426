import Glibc
import Hypervisor
import Storage
import System

extension Sandbox {
    /// The directory that the guest shares, made by the first who needs it.
    func shareTree() throws -> ShareTree {
        guard configuration.virtiofsd != nil else {
            throw SandboxError(.invalid, "this sandbox takes images only, no directories of the host")
        }
        return try state.withLock { state throws(SystemError) in
            if let share = state.share { return share }
            let share = try ShareTree(configuration.shareDirectory)
            state.share = share
            return share
        }
    }

    /// - Parameter user: whom QEMU, which connects, will run as.
    func startShareServer(_ program: String, for user: MachineConfiguration.User?) throws {
        let directory = try shareTree().directory
        let socket = configuration.shareSocket
        let listener = try UnixSocket.listen(socket)
        if let user { try syscall("chown", socket) { chown(socket, user.uid, user.gid) } }
        let server = try ShareServer(program, serving: directory, listener: listener, log: configuration.shareLog)
        let isWanted = state.withLock { state in
            if case .booting = state.phase { state.shareServer = server }
            return state.shareServer === server
        }
        server.onExit { [weak self] status in self?.shareServerEnded(server, status) }
        if !isWanted { server.stop() }
    }

    /// Without it the guest's programs would hang at their next file.
    private func shareServerEnded(_ server: ShareServer, _ status: ExitStatus) {
        if status == .exited(0) {
            // It ends when QEMU has left it: QEMU's own end is the one to be told of, and is known in a moment.
            let isKnown: Void? = state.wait(timeout: .seconds(2)) { state in
                if case .stopped = state.phase { () } else { nil }
            }
            if isKnown != nil { return }
        }
        let how =
            switch status {
            case .exited(let code): "it failed with status \(code)"
            case .signalled(let number): "it was killed by signal \(number)"
            }
        let said = server.lastWords
        stop(failure: "the sandbox's file server, virtiofsd, ended: \(how)\(said.isEmpty ? "" : "; it said: \(said)")")
    }

    /// Takes what a container has in the share off the host. Idempotent.
    func releaseShared(by container: String) {
        let (share, names) = state.withLock { ($0.share, $0.shared.removeValue(forKey: container) ?? []) }
        for name in names.reversed() { share?.release(name) }
    }
}

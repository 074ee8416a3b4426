import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// The second stage of this binary: a fresh, single-threaded process that makes or joins a container and becomes the
/// container's program. The order of its steps is the one that capabilities(7), seccomp(2) and the mounts allow.
enum InitStage {
    static let argument = "init"

    static func run() -> Never {
        // Nothing but the standard streams reaches the program; nothing of the agent's signal handling does.
        _ = ca_close_on_exec_from(3)
        ca_reset_signals()
        // Processes of a container that is joined must not get at this one's memory or descriptors.
        _ = ca_set_dumpable(0)
        let channel = StageChannel(socket: FileDescriptor(StageChannel.descriptor))
        do {
            guard let (request, _) = try channel.receive(StageRequest.self) else { _exit(1) }
            try become(request, channel)
        } catch {
            let error = error as? RPCError ?? AgentProcess.rpcError(error)
            var report = StageReport()
            report.code = error.code.rawValue
            report.message = error.message
            try? channel.send(report)
            _exit(1)
        }
    }

    private static func become(_ request: StageRequest, _ channel: StageChannel) throws -> Never {
        let process = request.process
        setsid()
        umask(0)
        // With the guest's /proc: the container may have none.
        if let adjustment = process.oomScoreAdjustment { try prefer(adjustment) }
        let prepared: StageContainer.Prepared
        if let container = request.container {
            prepared = try StageContainer.make(container, request)
        } else {
            prepared = try StageContainer.join(request)
        }
        let user = prepared.user
        for stream: Int32 in 0...2 { try giveStream(stream, to: user) }

        var environment = process.environment
        if !environment.contains(where: { $0.hasPrefix("HOME=") }) { environment.append("HOME=\(user.home)") }
        umask(mode_t(process.umask ?? 0o022))
        let capabilities = CapabilitySets(process.capabilities)
        try StageLimits.apply(process.rlimits)
        if process.noNewPrivileges {
            try syscall("no_new_privs") { ca_set_no_new_privs() }
        } else {
            // Only the privileged may load a filter without no_new_privs.
            try request.filter?.load()
        }
        try capabilities.dropBounding()
        try syscall("keep capabilities") { ca_set_keep_capabilities(1) }
        // A directory only root may enter is entered as root; one on a share that keeps root out, as the user.
        let entered = chdir(process.workingDirectory) == 0
        try syscall("change to user \(user.uid):\(user.gid)") {
            user.groups.withUnsafeBufferPointer { ca_set_ids(user.uid, user.gid, $0.baseAddress, $0.count) }
        }
        try syscall("keep capabilities") { ca_set_keep_capabilities(0) }
        try capabilities.apply()
        if !entered {
            let directory = process.workingDirectory
            try syscall("change to working directory", directory) { chdir(directory) }
        }

        try channel.send(StageReport(), descriptor: prepared.terminal?.raw)
        prepared.terminal?.close()
        guard try channel.waitForStart() else { _exit(1) }
        let program = try Executable(process.arguments.first ?? "", environment: environment)
        if process.noNewPrivileges { try request.filter?.load() }
        try program.execute(process.arguments, environment: environment)
    }

    /// How readily the kernel kills the process for want of memory (proc(5)). One that may not be spared runs all the same.
    private static func prefer(_ adjustment: Int32) throws(SystemError) {
        do { try Files.write("/proc/self/oom_score_adj", "\(adjustment)") } catch {
            if error.errno != EACCES && error.errno != EPERM { throw error }
        }
    }

    /// Lets the user open its own streams again by `/dev/stdout` and its like. What is shared with others keeps its owner.
    private static func giveStream(_ stream: Int32, to user: UserIdentity) throws(SystemError) {
        var info = stat()
        try syscall("stat", "stream \(stream)") { fstat(stream, &info) }
        let kind = info.st_mode & S_IFMT
        guard info.st_uid != user.uid, kind == S_IFIFO || kind == S_IFCHR && isatty(stream) == 1 else { return }
        try syscall("chown", "stream \(stream)") { fchown(stream, user.uid, info.st_gid) }
    }
}

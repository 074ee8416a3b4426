import AgentAPI
import CAgent
import CSystem
import Glibc
import System
import TTRPC

/// A process of a container, its init or another: from its init stage to its end.
///
/// Safe from any thread: what changes is behind `state`.
final class GuestProcess: Sendable {
    struct Exit: Sendable {
        var status: ExitStatus
        var at: Duration
        var outOfMemory: Bool
    }

    private enum State {
        /// The init stage has done all but the last step.
        case created(StageChannel)
        case starting
        case running
        case exited(Exit)
    }

    /// `the init process of container X` or the like, for messages.
    let name: String
    let pid: pid_t
    let pidfd: FileDescriptor
    private let streams: Streams
    private let state: Guarded<State>

    /// Starts an init stage and waits until it is ready.
    /// - Throws: `RPCError` with the stage's reason, `SystemError`.
    init(_ launch: Launch, agent: AgentProcess) throws {
        name = launch.name
        let process = launch.request.process
        if agent.ownsGuest { OpenFiles.allow(process.rlimits) }
        let streams = try Streams(launch.io, terminal: process.terminal, transport: agent.transport)
        let (ours, theirs) = try makeSocketPair()
        let channel = StageChannel(socket: ours)
        let exit = Guarded<Exit?>(nil)
        var spawn = makeSpawn(
            program: agent.program.raw, namespaces: launch.cloneFlags, cgroup: launch.cgroupDescriptor.raw,
            pidNamespace: launch.pidNamespace?.raw, ownPIDNamespace: agent.ownPIDNamespace.raw,
            descriptors: streams.childDescriptors + [theirs.raw] + launch.joined.map(\.raw))
        var pidfdNumber: Int32 = -1
        let cgroup = launch.cgroup
        let killsBefore = cgroup.outOfMemoryKills()
        do {
            pid = try agent.reaper.spawn { () throws(SystemError) in
                try syscall("clone", launch.name) { ca_spawn(&spawn, &pidfdNumber) }
            } watcher: { status in
                let ended = Exit(
                    status: status, at: Clock.realtime, outOfMemory: cgroup.outOfMemoryKills() > killsBefore)
                exit.withLock { $0 = ended }
            }
        } catch {
            // pid_namespaces(7): nothing can be born in a namespace whose first process has ended.
            guard launch.pidNamespace != nil, error.errno == ENOMEM else { throw error }
            throw RPCError(
                .failedPrecondition, "\(name) cannot start: the first process of its PID namespace has ended")
        }
        pidfd = FileDescriptor(pidfdNumber)
        launch.onBirth(pid)
        theirs.close()
        self.streams = streams
        state = Guarded(.created(channel))
        do {
            // A stage that is gone before it has heard this is found out below, with the reason.
            try? channel.send(launch.request)
            let terminal = try Self.awaitReady(channel, name)
            try streams.begin(terminal: terminal)
        } catch {
            _ = cs_pidfd_send_signal(pidfd.raw, SIGKILL)
            streams.abort()
            let ended: Exit? = exit.wait { $0 }
            if ended?.outOfMemory == true {
                throw RPCError(
                    .resourceExhausted,
                    "\(name) was killed for want of memory before its program could start: raise the container's memory limit"
                )
            }
            throw error
        }
        let onEnd = launch.onEnd
        Thread.start("process") {
            guard let ended: Exit = exit.wait(until: { $0 }) else { return }
            onEnd()
            self.streams.finish()
            self.state.withLock { $0 = .exited(ended) }
        }
    }

    var isAlive: Bool {
        state.withLock { if case .exited = $0 { false } else { true } }
    }

    /// Lets the stage execute the program. - Throws: `RPCError`, the stage's or `failedPrecondition`.
    func start() throws -> ProcessResponse {
        let channel = try state.withLock { state throws(RPCError) in
            guard case .created(let channel) = state else {
                throw RPCError(.failedPrecondition, "\(name) was started before or has ended")
            }
            state = .starting
            return channel
        }
        try channel.sendStart()
        // The end of the stream is the program's beginning.
        if let (report, _) = try channel.receive(StageReport.self) {
            throw RPCError(RPCError.Code(rawValue: report.code) ?? .internal, report.message)
        }
        state.withLock { if case .starting = $0 { $0 = .running } }
        return response
    }

    /// Blocks until the process has ended and all it wrote is on its way, if the host takes it.
    func wait() throws -> WaitProcessResponse {
        let ended: Exit? = state.wait { if case .exited(let exit) = $0 { exit } else { nil } }
        guard let ended else { throw RPCError(.internal, "\(name) cannot be waited for") }
        streams.waitUntilDone()
        var response = WaitProcessResponse()
        response.exitStatus = UInt32(ended.status.shellCode)
        if case .signalled(let signal) = ended.status { response.signal = UInt32(signal) }
        response.exitedAtInNanoseconds = UInt64(clamping: ended.at.nanoseconds)
        response.outOfMemory = ended.outOfMemory
        return response
    }

    func signal(_ number: Int32) throws {
        guard isAlive else { throw RPCError(.notFound, "\(name) has ended") }
        guard cs_pidfd_send_signal(pidfd.raw, number) != 0 else { return }
        switch errno {
        case ESRCH: throw RPCError(.notFound, "\(name) has ended")
        case EINVAL: throw RPCError(.invalidArgument, "there is no signal \(number)")
        default: throw SystemError("kill", name)
        }
    }

    func resize(rows: UInt32, columns: UInt32) throws {
        guard let terminal = streams.terminal else { throw RPCError(.failedPrecondition, "\(name) has no terminal") }
        try syscall("resize", name) {
            ca_set_window_size(terminal.raw, UInt16(clamping: rows), UInt16(clamping: columns))
        }
    }

    /// Kills the process if it lives, waits for its end and lets go of its streams.
    func destroy() {
        _ = cs_pidfd_send_signal(pidfd.raw, SIGKILL)
        state.wait { if case .exited = $0 { () } else { nil } }
        streams.abort()
    }

    var response: ProcessResponse {
        var response = ProcessResponse()
        response.pid = UInt32(pid)
        return response
    }

    /// Waits for the stage's report. - Returns: the terminal's master, if there is one.
    private static func awaitReady(_ channel: StageChannel, _ name: String) throws -> FileDescriptor? {
        guard let (report, terminal) = try channel.receive(StageReport.self) else {
            throw RPCError(.internal, "\(name) ended before it could be set up")
        }
        if report.code != 0 { throw RPCError(RPCError.Code(rawValue: report.code) ?? .internal, report.message) }
        return terminal
    }
}

/// Everything one init stage is started with.
struct Launch {
    var name: String
    var request: StageRequest
    var io: ProcessIO
    var cgroup: Cgroup
    var cgroupDescriptor: FileDescriptor
    /// `CLONE_NEW*` of the child.
    var cloneFlags: UInt64 = 0
    /// A process or a namespace file whose PID namespace the child is born in.
    var pidNamespace: FileDescriptor?
    /// What the child gets behind its channel: the container's init if it joins one, namespaces of others if it makes one.
    var joined: [FileDescriptor] = []
    /// Called when the child is there and has not been told anything yet.
    var onBirth: (pid_t) -> Void = { _ in }
    /// Called when the process has ended, before its streams are.
    var onEnd: @Sendable () -> Void = {}
}

private func makeSpawn(
    program: Int32, namespaces: UInt64, cgroup: Int32, pidNamespace: Int32?, ownPIDNamespace: Int32,
    descriptors: [Int32]
) -> ca_spawn {
    var spawn = ca_spawn()
    spawn.program = program
    spawn.namespaces = namespaces
    spawn.cgroup = cgroup
    spawn.pid_namespace_of = pidNamespace ?? -1
    spawn.own_pid_namespace = ownPIDNamespace
    withUnsafeMutableBytes(of: &spawn.descriptors) { bytes in
        let slots = bytes.bindMemory(to: Int32.self)
        for (index, descriptor) in descriptors.prefix(slots.count).enumerated() { slots[index] = descriptor }
        spawn.descriptor_count = Int32(min(descriptors.count, slots.count))
    }
    return spawn
}

import AgentAPI
import CAgent
import Glibc
import Protobuf
import System
import TTRPC

/// The agent proper: what serves the host, whatever the host is reached through.
final class AgentProcess: Sendable {
    let transport: Transport
    /// This program, as an `O_PATH` descriptor: the init stage runs it.
    let program: FileDescriptor
    let reaper: Reaper
    let events: DeviceEvents
    let disks: Disks
    let share = Share()
    let start: Duration
    let containers = ContainerRegistry()
    /// `/proc/self/ns/pid`, to return to after a process was born in a container's.
    let ownPIDNamespace: FileDescriptor

    /// Each process is waited for by a call of its own, and the host alone calls.
    private static let mostCallsUnderWay = 4096

    /// Whether the machine is this agent's: a test's agent is an ordinary process and must leave clock and power alone.
    var ownsGuest: Bool { if case .vsock = transport { true } else { false } }

    init(transport: Transport, program: FileDescriptor, events: DeviceEvents, start: Duration) throws(SystemError) {
        self.transport = transport
        self.program = program
        self.start = start
        ca_spare_memory()
        reaper = Reaper()
        self.events = events
        disks = Disks(events: events)
        ownPIDNamespace = try FileDescriptor.open("/proc/self/ns/pid", O_RDONLY)
    }

    /// Blocks `SIGCHLD` for the reaper and ignores `SIGPIPE`. To be called before any thread is started.
    static func prepareSignals() {
        var childSignal = sigset_t()
        sigemptyset(&childSignal)
        sigaddset(&childSignal, SIGCHLD)
        pthread_sigmask(SIG_BLOCK, &childSignal, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Serves as an ordinary process until the connection ends.
    static func serve(through transport: Transport) {
        prepareSignals()
        do {
            let program = try FileDescriptor.open("/proc/self/exe", ca_o_path)
            try Cgroup.enableControllers()
            let agent = try AgentProcess(
                transport: transport, program: program, events: try DeviceEvents(), start: Clock.monotonic)
            agent.serve(try transport.dial(Agent.controlPort))
            agent.stopEverything()
        } catch {
            Log.error("\(error)")
            exit(1)
        }
    }

    /// Answers the host until the connection ends.
    func serve(_ connection: FileDescriptor) {
        let ready = Clock.monotonic
        Server(
            handlers(ready: ready) + runningHandlers, mostCallsUnderWay: Self.mostCallsUnderWay,
            mapError: Self.rpcError
        ).serve(connection: connection)
    }

    private func handlers(ready: Duration) -> [Handler] {
        [
            .on(Agent.hello) { try Hello.answer($0, start: self.start, ready: ready, ownsGuest: self.ownsGuest) },
            .on(Agent.shutdown) { _ in
                self.stopEverything()
                if self.ownsGuest { Guest.powerOff() }
                return Empty()
            },
            .on(Agent.unpackLayer) { try self.unpack($0) },
            .on(Agent.createContainer) { try self.create($0) },
            .on(Agent.createProcess) { try self.container($0.containerID).createProcess($0) },
            .on(Agent.startProcess) { try self.process($0).start() },
            .on(Agent.waitProcess) { try self.process($0).wait() },
            .on(Agent.signalProcess) { request in
                let container = try self.container(request.process.containerID)
                if request.all {
                    try container.signalAll(Int32(truncatingIfNeeded: request.signal))
                } else {
                    try container.process(request.process.processID).signal(Int32(truncatingIfNeeded: request.signal))
                }
                return Empty()
            },
            .on(Agent.resizeTerminal) {
                try self.process($0.process).resize(rows: $0.rows, columns: $0.columns)
                return Empty()
            },
            .on(Agent.deleteProcess) {
                try self.delete($0)
                return Empty()
            },
            .on(Agent.configureNetwork) {
                try Network.configure($0, events: self.events)
                return Empty()
            },
            .on(Agent.dial) {
                try NetworkDial.join($0, self.transport)
                return Empty()
            },
        ]
    }

    /// The one place where errors become statuses.
    @Sendable static func rpcError(_ error: any Error) -> RPCError {
        guard let error = error as? SystemError else { return RPCError(.internal, "\(error)") }
        return switch error.errno {
        case ENOSPC, ENOMEM, EDQUOT: RPCError(.resourceExhausted, "\(error)")
        default: RPCError(.internal, "\(error)")
        }
    }
}

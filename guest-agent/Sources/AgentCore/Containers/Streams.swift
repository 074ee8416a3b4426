import AgentAPI
import CAgent
import Glibc
import System

/// A process's standard streams: the ends the process gets, and the connections to the host.
final class Streams: Sendable {
    private struct State {
        /// What the process gets as 0, 1, 2; closed here once it has them.
        var childEnds: [FileDescriptor] = []
        /// Connection and the agent's end of the pipe, of each stream there is.
        var input: (socket: FileDescriptor, sink: FileDescriptor)?
        var outputs: [(socket: FileDescriptor, source: FileDescriptor)] = []
        /// Connections of a terminal, until the terminal is there.
        var terminalInput: FileDescriptor?
        var terminalOutput: FileDescriptor?
        var terminal: FileDescriptor?
        var inputPump: Pump?
        var outputPumps: [Pump] = []
    }

    private let state = Guarded(State())

    /// Dials the host and makes the pipes. - Throws: `SystemError`.
    init(_ io: ProcessIO, terminal: Bool, transport: Transport) throws(SystemError) {
        var made = State()
        if terminal {
            let null = try FileDescriptor.open("/dev/null", O_RDWR)
            made.childEnds = [null, null, null]
            if io.stdinPort != 0 { made.terminalInput = try transport.dial(io.stdinPort) }
            if io.stdoutPort != 0 { made.terminalOutput = try transport.dial(io.stdoutPort) }
        } else {
            if io.stdinPort == 0 {
                made.childEnds.append(try FileDescriptor.open("/dev/null", O_RDONLY))
            } else {
                let pipe = try Self.widePipe()
                made.childEnds.append(pipe.read)
                made.input = (try transport.dial(io.stdinPort), pipe.write)
            }
            for port in [io.stdoutPort, io.stderrPort] {
                if port == 0 {
                    made.childEnds.append(try FileDescriptor.open("/dev/null", O_WRONLY))
                } else {
                    let pipe = try Self.widePipe()
                    made.childEnds.append(pipe.write)
                    made.outputs.append((try transport.dial(port), pipe.read))
                }
            }
        }
        let sendable = made
        state.withLock { $0 = sendable }
    }

    /// Descriptors for the child's 0, 1 and 2.
    var childDescriptors: [Int32] { state.withLock { $0.childEnds.map(\.raw) } }

    /// Starts carrying. To be called when the child has its ends.
    /// - Parameter terminal: the terminal's master, for a process that has one.
    func begin(terminal: FileDescriptor?) throws(SystemError) {
        try state.withLock { state throws(SystemError) in
            state.childEnds = []
            if let input = state.input { state.inputPump = try Pump.input(from: input.socket, to: input.sink) }
            for output in state.outputs {
                state.outputPumps.append(try Pump.output(from: output.source, to: output.socket, isTerminal: false))
            }
            if let terminal {
                state.terminal = terminal
                if let socket = state.terminalInput { state.inputPump = try Pump.input(from: socket, to: terminal) }
                if let socket = state.terminalOutput {
                    state.outputPumps.append(try Pump.output(from: terminal, to: socket, isTerminal: true))
                }
            }
            // The pumps own them now: a stream ends when its pump lets go.
            state.input = nil
            state.outputs = []
            state.terminalInput = nil
            state.terminalOutput = nil
        }
    }

    /// To be called when the process has ended; does not block.
    func finish() {
        let (input, outputs) = state.withLock { ($0.inputPump, $0.outputPumps) }
        input?.abort()
        for pump in outputs { pump.finish() }
    }

    /// Blocks until all that the process wrote has been handed to the host's connection, or for as long as a reader on the
    /// host that takes nothing is to keep others from knowing of the process's end. The streams go on by themselves.
    func waitUntilDone() {
        let deadline = Clock.monotonic + .seconds(2)
        for pump in state.withLock({ $0.outputPumps }) { pump.waitUntilDone(deadline: deadline) }
    }

    /// Ends everything, whether or not the host takes it.
    func abort() {
        let (input, outputs) = state.withLock { state in
            defer {
                state.childEnds = []
                state.input = nil
                state.outputs = []
                state.terminalInput = nil
                state.terminalOutput = nil
                state.terminal = nil
            }
            return (state.inputPump, state.outputPumps)
        }
        input?.abort()
        for pump in outputs { pump.abort() }
    }

    /// The terminal's master, if the process has one.
    var terminal: FileDescriptor? { state.withLock { $0.terminal } }

    /// A pipe of a mebibyte where the kernel allows it: fewer switches between the program and the pump.
    private static func widePipe() throws(SystemError) -> (read: FileDescriptor, write: FileDescriptor) {
        let pipe = try makePipe()
        _ = ca_fcntl(pipe.write.raw, ca_f_setpipe_sz, 1 << 20)
        return pipe
    }
}

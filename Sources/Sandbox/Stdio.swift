import AgentAPI
import System
import Vsock

/// A process's standard streams on the host's side; a nil one is `/dev/null` in the guest.
public struct Stdio: Sendable {
    public var input: FileDescriptor?
    public var output: FileDescriptor?
    public var error: FileDescriptor?

    public init(input: FileDescriptor? = nil, output: FileDescriptor? = nil, error: FileDescriptor? = nil) {
        self.input = input
        self.output = output
        self.error = error
    }
}

/// The ports on which a process's streams arrive, and what is known of their end.
final class StdioPorts: Sendable {
    private struct State {
        var openOutputs: Int
        /// Ports nobody has dialed yet.
        var waiting: Set<UInt32>
    }

    let io: ProcessIO
    private let device: VsockDevice
    private let state: Guarded<State>

    /// Opens a port for each stream; the guest dials it once.
    init(_ stdio: Stdio, on device: VsockDevice) {
        self.device = device
        var io = ProcessIO()
        var ports: [UInt32] = []
        func port(for stream: FileDescriptor?) -> UInt32 {
            guard stream != nil else { return 0 }
            let port = device.allocatePort()
            ports.append(port)
            return port
        }
        io.stdinPort = port(for: stdio.input)
        io.stdoutPort = port(for: stdio.output)
        io.stderrPort = port(for: stdio.error)
        self.io = io
        let outputs = [stdio.output, stdio.error].compactMap { $0 }.count
        state = Guarded(State(openOutputs: outputs, waiting: Set(ports)))

        if let input = stdio.input {
            listen(io.stdinPort) { StreamEnds(input: input, output: nil, onClosed: nil) }
        }
        for (port, output) in [(io.stdoutPort, stdio.output), (io.stderrPort, stdio.error)] {
            guard let output else { continue }
            listen(port) { [state] in
                StreamEnds(input: nil, output: output) { _ in
                    UnreadOutput.whenTaken(output) { state.withLock { $0.openOutputs -= 1 } }
                }
            }
        }
    }

    private func listen(_ port: UInt32, _ ends: @escaping @Sendable () -> StreamEnds) {
        device.listen(port: port) { [device, state] _ in
            // Once: a second connection to the port is refused by the device, which no longer knows it.
            device.unlisten(port: port)
            return state.withLock { $0.waiting.remove(port) } == nil ? nil : ends()
        }
    }

    /// Blocks until everything the process wrote has been handed to its outputs, and read where that can be known
    /// (`UnreadOutput`). - Returns: false when the time was up.
    @discardableResult
    func waitUntilDrained(timeout: Duration?) -> Bool {
        state.wait(timeout: timeout) { $0.openOutputs <= 0 ? true : nil } ?? false
    }

    /// Stops waiting for streams that were never dialed, and for readers that do not read.
    func cancel() {
        for port in [io.stdoutPort, io.stderrPort] where port != 0 { device.abandonOutput(port: port) }
        let ports = state.withLock { state in
            defer {
                state.waiting = []
                state.openOutputs = 0
            }
            return state.waiting
        }
        for port in ports { device.unlisten(port: port) }
    }
}

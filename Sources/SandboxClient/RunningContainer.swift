import ContainerdAPI
import Glibc
import Protobuf
import System
import TTRPC

/// A failure to run a container, with the exit status Docker gives it: 125 ours, 126 the command cannot be executed, 127 it
/// is not there.
public struct RunError: Error, CustomStringConvertible, Sendable {
    public let exitStatus: Int32
    public let description: String
    public init(exitStatus: Int32 = 125, _ description: String) {
        self.exitStatus = exitStatus
        self.description = description
    }
}

/// What a container is started from.
public struct ContainerRun: Sendable {
    public var options = SandboxOptions()
    /// The runtime specification's `config.json`.
    public var configuration: [UInt8]
    /// Layers from the lowest up, then the writable disk.
    public var rootfs: [Mount]
    public var terminal = false
    /// Descriptors of this process that become the container's streams; nil is `/dev/null`. With a terminal, there is no
    /// error stream.
    public var standardInput: Int32?
    public var standardOutput: Int32?
    public var standardError: Int32?

    /// Makes what `Launch.removeAtEnd` names, once there is a sandbox that will remove it, whoever is killed when.
    public var prepare: (@Sendable () throws -> Void)?
    /// Called when the program is about to be told to start: from here on it may run, whether or not that is known yet.
    public var willStart: (@Sendable () -> Void)?

    public init(configuration: [UInt8], rootfs: [Mount]) {
        self.configuration = configuration
        self.rootfs = rootfs
    }
}

/// A container in a sandbox of its own, which ends with this process.
public final class RunningContainer: Sendable {
    public let id: String
    private let sandbox: SandboxProcess

    /// Starts the sandbox and the container's program. A failure leaves nothing behind.
    /// - Throws: `RunError`.
    public init(_ launch: SandboxProcess.Launch, _ run: ContainerRun) throws(RunError) {
        id = launch.id
        var launch = launch
        func hand(_ descriptor: Int32?) -> String {
            guard let descriptor else { return "" }
            launch.descriptors.append(descriptor)
            return SandboxProcess.inherited(launch.descriptors.count - 1)
        }
        var request = CreateTaskRequest()
        request.id = launch.id
        request.rootfs = run.rootfs
        request.terminal = run.terminal
        request.stdin = hand(run.standardInput)
        request.stdout = hand(run.standardOutput)
        request.stderr = run.terminal ? "" : hand(run.standardError)
        request.options = AnyMessage(SandboxOptions.typeURL, run.options)
        do { sandbox = try SandboxProcess(launch) } catch { throw RunError(error.description) }
        request.bundle = sandbox.directory
        do {
            try run.prepare?()
            try Files.write("\(sandbox.directory)/config.json", run.configuration)
            _ = try sandbox.client.call(TaskAPI.create, request)
            run.willStart?()
            _ = try sandbox.client.call(TaskAPI.start, TaskProcess(id: id))
        } catch {
            let failure = Self.explain(error, sandbox)
            sandbox.end()
            throw failure
        }
    }

    /// Blocks until the program has ended and all it wrote has been handed on.
    /// - Returns: its exit status, or 128 + the signal that ended it.
    /// - Throws: `RunError` when the sandbox ended instead.
    public func wait() throws(RunError) -> Int32 {
        do {
            let exit = try sandbox.client.call(TaskAPI.wait, TaskProcess(id: id))
            let failure = try sandbox.client.call(SandboxAPI.status, Empty()).failure
            if !failure.isEmpty { throw RunError(failure) }
            _ = try sandbox.client.call(TaskAPI.delete, TaskProcess(id: id))
            return Int32(clamping: exit.exitStatus)
        } catch { throw Self.explain(error, sandbox) }
    }

    /// Sends a signal to the program. One that has ended does not mind.
    public func signal(_ number: Int32) {
        var request = KillRequest()
        request.id = id
        request.signal = UInt32(number)
        _ = try? sandbox.client.call(TaskAPI.kill, request, timeout: .seconds(10))
    }

    public func resize(rows: UInt16, columns: UInt16) {
        var request = ResizePtyRequest()
        request.id = id
        request.height = UInt32(rows)
        request.width = UInt32(columns)
        _ = try? sandbox.client.call(TaskAPI.resizePty, request, timeout: .seconds(10))
    }

    /// Where the time went, and what the guest runs on.
    public func status() throws(RunError) -> SandboxStatus {
        do { return try sandbox.client.call(SandboxAPI.status, Empty()) } catch { throw Self.explain(error, sandbox) }
    }

    /// Ends the sandbox and waits until nothing of it is left. Idempotent.
    public func end() { sandbox.end() }

    static func explain(_ error: any Error, _ sandbox: SandboxProcess) -> RunError {
        if let error = error as? RunError { return error }
        guard let error = error as? RPCError else { return RunError("\(error)") }
        switch error.code {
        case .notFound: return RunError(exitStatus: 127, error.message)
        case .permissionDenied: return RunError(exitStatus: 126, error.message)
        case .unavailable:
            let log = sandbox.log
            return RunError(
                "the sandbox's process ended unexpectedly" + (log.isEmpty ? " (was it killed?)" : "; it said:\n\(log)"))
        default: return RunError(error.message)
        }
    }
}

/// Unpacks layers in a sandbox of its own.
public enum BuilderSandbox {
    /// - Returns: what the guest found in each layer, in order.
    /// - Throws: `RunError`.
    public static func unpack(_ launch: SandboxProcess.Launch, _ request: UnpackRequest) throws(RunError)
        -> [UnpackResponse.Layer]
    {
        let sandbox: SandboxProcess
        do { sandbox = try SandboxProcess(launch) } catch { throw RunError(error.description) }
        defer { sandbox.end() }
        do { return try sandbox.client.call(SandboxAPI.unpack, request).layers } catch {
            // All that the guest sees of it is its disk's error. Asked while the disk is there: then there is space again.
            if let disk = request.layers.first?.diskPath, FreeSpace.isExhausted(at: disk) {
                throw RunError(
                    "no space left on \(FreeSpace.place(of: disk)) while unpacking layers; free space there, remove images with "
                        + "\"cloister image remove\", or set CLOISTER_DATA to a directory on a larger disk")
            }
            throw RunError(RunningContainer.explain(error, sandbox).description)
        }
    }
}

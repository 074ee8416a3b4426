import CSystem
import Glibc
import System
import TTRPC

/// A sandbox's own process, started by this one and ending with it.
public final class SandboxProcess: Sendable {
    /// What to start, and what to give it.
    public struct Launch: Sendable {
        public var id: String
        /// The executable `containerd-shim-cloister-v2`.
        public var program: String
        /// Holds a directory for each sandbox.
        public var stateDirectory: String
        /// Given to the sandbox's process as `inherit:6`, `inherit:7`, …
        public var descriptors: [Int32]
        /// Removed with the sandbox, whoever survives whom: its scratch disk.
        public var removeAtEnd: [String]

        public init(
            id: String, program: String, stateDirectory: String, descriptors: [Int32] = [], removeAtEnd: [String] = []
        ) {
            self.id = id
            self.program = program
            self.stateDirectory = stateDirectory
            self.descriptors = descriptors
            self.removeAtEnd = removeAtEnd
        }
    }

    /// To be asked before anything is made for a sandbox.
    /// - Throws: `LaunchError` when its sockets would have paths that are too long.
    public static func requireRoom(for id: String, in stateDirectory: String) throws(LaunchError) {
        try StateDirectory.requireRoom(for: id, in: stateDirectory)
    }

    /// The URI of a descriptor handed over, by its place in `Launch.descriptors`.
    public static func inherited(_ index: Int) -> String { "inherit:\(firstInherited + index)" }
    private static let firstInherited = 6

    /// The sandbox's state directory.
    public let directory: String
    /// Speaks the Task API and the sandbox's own (`ContainerdAPI`).
    public let client: Client
    private let process: ChildProcess
    /// The sandbox ends when this closes, which the kernel sees to if nobody else does.
    private let lifeline: FileDescriptor

    /// Starts the process. It has nothing to wait for: the socket is listening before the process exists.
    /// - Throws: `LaunchError`.
    public init(_ launch: Launch) throws(LaunchError) {
        let claim = try StateDirectory.claim(launch.id, in: launch.stateDirectory)
        directory = claim.path
        do {
            let socket = "\(claim.path)/task.sock"
            let listener = try UnixSocket.listen(socket)
            try syscall("chmod", socket) { chmod(socket, 0o600) }
            let (readEnd, writeEnd) = try makePipe()
            let null = try FileDescriptor.open("/dev/null", O_RDWR)
            let log = try FileDescriptor.open("\(claim.path)/server.log", O_WRONLY | O_CREAT | O_APPEND)
            let arguments =
                ["serve", "--id", launch.id, "--state", claim.path] + launch.removeAtEnd.flatMap { ["--remove", $0] }
            // The lock is held for as long as any process of the sandbox's lives.
            let descriptors = [null, log, log, listener, readEnd, claim.lock].map(\.raw) + launch.descriptors
            process = try ChildProcess.spawn(launch.program, arguments, descriptors: descriptors, newSession: true)
            lifeline = writeEnd
            client = Client(try UnixSocket.connect(socket))
        } catch {
            try? Files.removeTree(claim.path)
            throw LaunchError("the sandbox's process cannot be started: \(error)")
        }
    }

    /// What the sandbox's process printed before it died, if it died by itself.
    public var log: String { (try? Files.readText("\(directory)/server.log", limit: 1 << 20)) ?? "" }

    /// Ends the sandbox and waits until nothing of it is left: process, mount, socket, disk or directory. Idempotent.
    public func end() {
        lifeline.close()
        client.close()
        _ = process.wait()
        // Only where the guardian itself was killed is anything still here.
        try? Files.removeTree(directory)
    }
}

/// A sandbox that could not be started: one sentence with a remedy.
public struct LaunchError: Error, CustomStringConvertible, Sendable {
    public let description: String
    public init(_ description: String) { self.description = description }
}

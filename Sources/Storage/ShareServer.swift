import Glibc
import System

/// virtiofsd, which serves one directory to one virtual machine through a socket.
///
/// It has no capability in the host's namespaces: see `docs/decisions/`. What it was given ends with it, and it ends when the
/// machine has disconnected.
public final class ShareServer: Sendable {
    /// How it takes its words: QEMU's own, which ended with QEMU 7.2 and lies in a directory of QEMU's, or its successor in Rust.
    enum Dialect: Equatable {
        case qemu, rust

        init(_ program: String) { self = program.hasSuffix("/qemu/virtiofsd") ? .qemu : .rust }
    }

    /// One for each file of the shares that the guest knows of.
    private static let openFiles: UInt64 = 1_000_000

    private let process: ChildProcess
    private let log: String

    /// Starts serving. QEMU may connect as soon as this returns.
    /// - Parameters:
    ///   - program: virtiofsd.
    ///   - directory: what is served: a mount point whose propagation is shared. The guest cannot write to it itself, only to
    ///     what is mounted below it.
    ///   - listener: a listening unix socket.
    ///   - log: file for what virtiofsd says; replaced.
    /// - Throws: `SystemError`.
    public init(
        _ program: String, serving directory: String, listener: FileDescriptor, log: String
    ) throws(SystemError) {
        let nothing = try FileDescriptor.open("/dev/null", O_RDONLY)
        let output = try FileDescriptor.open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND)
        self.log = log
        process = try ChildProcess.spawnConfined(
            program, Self.arguments(Dialect(program), directory: directory, listener: 3),
            descriptors: [nothing.raw, output.raw, output.raw, listener.raw], readOnlyDirectory: directory,
            openFiles: Self.openFiles)
    }

    /// Attributes and names are asked for again after a second at most, so that what the host changes is seen; what a file
    /// holds, when it is opened.
    static func arguments(_ dialect: Dialect, directory: String, listener: Int32) -> [String] {
        switch dialect {
        case .qemu:
            return [
                "-f", "--fd=\(listener)", "--rlimit-nofile=0", "-o", "source=\(directory)", "-o",
                "xattr,posix_acl,announce_submounts,cache=auto,sandbox=namespace,log_level=warn",
            ]
        case .rust:
            return [
                "--fd=\(listener)", "--rlimit-nofile=0", "--shared-dir=\(directory)", "--xattr", "--posix-acl",
                "--announce-submounts", "--cache=auto", "--sandbox=namespace", "--inode-file-handles=never",
                "--log-level=warn",
            ]
        }
    }

    public var pid: pid_t { process.pid }

    /// Says once, from a thread of its own, how it ended.
    public func onExit(_ handler: @escaping @Sendable (ExitStatus) -> Void) {
        Thread.start("share-server") { [process] in handler(process.wait()) }
    }

    /// What it said last; empty when it said nothing.
    public var lastWords: String {
        let text = (try? Files.readText(log, limit: 1 << 20)) ?? ""
        return text.split(separator: "\n").suffix(3).joined(separator: "; ")
    }

    /// Ends it; one that has ended is not an error. `onExit` reaps it.
    public func stop() { process.signal(SIGKILL) }
}

import ContainerdAPI
import Glibc
import Sandbox
import System

/// The `stdin`, `stdout` and `stderr` of a Task API request, as they were asked for.
struct TaskStdio: Sendable {
    var input = ""
    var output = ""
    /// Not looked at with a terminal, which has one output.
    var error = ""
    var terminal = false

    var event: TaskEvents.IO {
        var io = TaskEvents.IO()
        io.stdin = input
        io.stdout = output
        io.stderr = error
        io.terminal = terminal
        return io
    }
}

/// Opened streams of a process.
struct OpenedStdio: Sendable {
    var streams = Stdio()
    /// Where the input is a FIFO.
    var inputRelay: InputRelay?

    /// - Parameter logger: starts the program of a `binary:` URI.
    /// - Throws: `SandboxError` that names the stream.
    init(_ stdio: TaskStdio, logger: (LogURI) throws(SandboxError) -> LogProgram) throws(SandboxError) {
        (streams.input, inputRelay) = try Self.openInput(stdio.input)
        if let uri = LogURI(stdio.output) {
            // The one program takes both.
            let program = try logger(uri)
            streams.output = program.output
            streams.error = stdio.terminal ? nil : program.error
            return
        }
        streams.output = try Self.openOutput(stdio.output)
        if !stdio.terminal { streams.error = try Self.openOutput(stdio.error) }
    }

    private static func openInput(
        _ uri: String
    ) throws(SandboxError) -> (input: FileDescriptor?, relay: InputRelay?) {
        if uri.isEmpty { return (nil, nil) }
        if let inherited = try inherited(uri) { return (inherited, nil) }
        let path = fifoPath(uri)
        do {
            guard isFIFO(path) else { return (try FileDescriptor.open(path, O_RDONLY), nil) }
            let (relay, output) = try InputRelay.make(path: path)
            return (output, relay)
        } catch { throw SandboxError(.invalid, "standard input: \(error)") }
    }

    /// - Returns: nil for an empty string, which means `/dev/null`.
    private static func openOutput(_ uri: String) throws(SandboxError) -> FileDescriptor? {
        if uri.isEmpty { return nil }
        if let inherited = try inherited(uri) { return inherited }
        do {
            if uri.hasPrefix("file:") {
                let path = LogURI.path(of: uri)
                try Files.makeDirectories(Files.parent(of: path), mode: 0o755)
                return try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_APPEND, mode: 0o644)
            }
            let path = fifoPath(uri)
            // A FIFO that is open for reading too waits for no reader, and a reader that leaves breaks nothing.
            return try FileDescriptor.open(path, isFIFO(path) ? O_RDWR : O_WRONLY)
        } catch { throw SandboxError(.invalid, "standard output: \(error)") }
    }

    /// A descriptor that the starter of this process handed over; nil for a URI of another kind.
    private static func inherited(_ uri: String) throws(SandboxError) -> FileDescriptor? {
        guard uri.hasPrefix("inherit:") else { return nil }
        guard let number = Int32(uri.dropFirst("inherit:".count)), number > InheritedDescriptors.lock,
            let copy = try? syscall("dup", uri, { fcntl(number, F_DUPFD_CLOEXEC, 64) })
        else { throw SandboxError(.invalid, "\(uri) names no descriptor of this process") }
        return FileDescriptor(copy)
    }

    private static func fifoPath(_ uri: String) -> String { uri.hasPrefix("fifo:") ? LogURI.path(of: uri) : uri }

    private static func isFIFO(_ path: String) -> Bool {
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFIFO
    }
}

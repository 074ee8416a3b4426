import CSystem
import Glibc
import Sandbox
import System

/// `binary:///PATH?KEY=VALUE&…`: a program that takes a process's output (containerd, "Shim Logging" of its runtime v2
/// documentation).
struct LogURI: Equatable, Sendable {
    let program: String
    /// Keys and values in turn; a key without a value stands alone.
    let arguments: [String]

    /// nil for another kind of URI.
    init?(_ uri: String) {
        guard uri.hasPrefix("binary:") else { return nil }
        program = Self.path(of: uri)
        let query = uri.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
        // A name once, with the first of its values, in the names' order: containerd's own is that of a Go map, none.
        var seen: [String: [String]] = [:]
        for pair in query.split(separator: "&") {
            let words = pair.split(separator: "=", maxSplits: 1).map { Self.decoded($0, plusIsSpace: true) }
            guard let name = words.first, seen[name] == nil else { continue }
            seen[name] = words
        }
        arguments = seen.keys.sorted().flatMap { seen[$0] ?? [] }
    }

    /// Of `SCHEME:///PATH?…`, with percent signs undone.
    static func path(of uri: String) -> String {
        var rest = uri.drop { $0 != ":" }.dropFirst()
        if rest.hasPrefix("//") { rest = rest.dropFirst(2) }
        return decoded(rest.prefix { $0 != "?" && $0 != "#" }, plusIsSpace: false)
    }

    private static func decoded(_ text: Substring, plusIsSpace: Bool) -> String {
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                result.append(value)
                rest = rest.dropFirst(2)
            } else {
                result.append(plusIsSpace && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

/// A running program of a `binary:` URI. It reads standard output and error from its descriptors 3 and 4 and closes 5 when it
/// is ready; it ends when they have ended, and this process reaps it.
struct LogProgram: Sendable {
    let output: FileDescriptor
    let error: FileDescriptor

    private static let patience = Duration.seconds(10)

    /// - Parameter host: where such a program keeps or sends what it is told.
    /// - Throws: `SandboxError`; then it does not run.
    init(_ uri: LogURI, container: String, namespace: String, host: HostView?) throws(SandboxError) {
        do {
            let (output, outputWriter) = try makePipe()
            let (error, errorWriter) = try makePipe()
            let (ready, readyWriter) = try makePipe()
            let null = try FileDescriptor.open("/dev/null", O_RDWR)
            let environment = ["CONTAINER_ID=\(container)", "CONTAINER_NAMESPACE=\(namespace)"]
            let descriptors = [null, null, null, output, error, readyWriter]
            let start: @Sendable () throws(SystemError) -> ChildProcess = { () throws(SystemError) in
                try ChildProcess.spawn(
                    uri.program, uri.arguments, environment: environment, descriptors: descriptors.map(\.raw))
            }
            let process = try host?.run("log-program", start) ?? start()
            Thread.start("log-program") { _ = process.wait() }
            readyWriter.close()
            // A byte or the end: whichever comes, it has got so far.
            let isReady = try ready.isReadable(within: Self.patience)
            guard isReady else {
                process.signal(SIGKILL)
                throw SandboxError(.failed, "the logging program \(uri.program) was not ready within 10 s")
            }
            self.output = outputWriter
            self.error = errorWriter
        } catch let error as SandboxError { throw error } catch {
            throw SandboxError(.invalid, "the logging program \(uri.program) cannot be started: \(error)")
        }
    }
}

extension FileDescriptor {
    /// Waits for something to read, or the end. - Returns: false when the time was up.
    fileprivate func isReadable(within time: Duration) throws(SystemError) -> Bool {
        var poll = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
        return try syscall("poll") { Glibc.poll(&poll, 1, Int32(clamping: time.milliseconds)) } > 0
    }
}

import Glibc
import Sandbox
import System

/// The `stdin`, `stdout` and `stderr` of a Task API request.
enum StdioURI {
    static func open(input: String, output: String, error: String) throws(SandboxError) -> Stdio {
        try Stdio(input: open(input, O_RDONLY), output: open(output, O_WRONLY), error: open(error, O_WRONLY))
    }

    /// - Returns: nil for an empty string, which means `/dev/null`.
    private static func open(_ uri: String, _ flags: Int32) throws(SandboxError) -> FileDescriptor? {
        if uri.isEmpty { return nil }
        if uri.hasPrefix("inherit:") {
            guard let number = Int32(uri.dropFirst("inherit:".count)), number > InheritedDescriptors.lock,
                let copy = try? syscall("dup", uri, { fcntl(number, F_DUPFD_CLOEXEC, 64) })
            else { throw SandboxError(.invalid, "\(uri) names no descriptor of this process") }
            return FileDescriptor(copy)
        }
        do { return try FileDescriptor.open(uri, flags) } catch { throw SandboxError(.invalid, "\(error)") }
    }
}

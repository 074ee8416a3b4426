import Config
import Glibc
import System

/// Other programs of this machine.
enum Programs {
    /// Where distributions put them, whatever PATH an ordinary user has.
    static let usualDirectories = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin"]

    static func find(_ name: String, directories: [String] = usualDirectories) -> String? {
        let own = (Configuration.ownEnvironment("PATH") ?? "").split(separator: ":").map(String.init)
        return (directories + own.filter { $0.hasPrefix("/") }).map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// In bytes.
    static let longestOutput = 1 << 20

    /// What a program prints on standard output.
    /// - Throws: `SystemError` when it cannot be started, fails, or takes longer than `timeout`.
    static func output(
        _ path: String, _ arguments: [String], timeout: Duration = .seconds(20)
    ) throws(SystemError) -> String {
        let (readEnd, writeEnd) = try makePipe()
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        let child = try ChildProcess.spawn(path, arguments, descriptors: [null.raw, writeEnd.raw, null.raw])
        writeEnd.close()
        let finished = Guarded(false)
        Thread.start("program") {
            if finished.wait(timeout: timeout, until: { $0 ? true : nil }) == nil { child.signal(SIGKILL) }
        }
        defer { finished.withLock { $0 = true } }
        let bytes = (try? readEnd.readToEnd(limit: longestOutput)) ?? []
        // Whoever prints for ever is not waited for.
        readEnd.close()
        guard child.wait() == .exited(0) else { throw SystemError("run", path, errno: EIO) }
        return String(decoding: bytes, as: UTF8.self)
    }
}

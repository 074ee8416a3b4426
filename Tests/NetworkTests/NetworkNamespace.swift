import CSystem
import Glibc
import System

/// A network namespace of a test's own: a thread that is in one, and in which everything is done.
final class NetworkNamespace: Sendable {
    private let jobs = Guarded<[@Sendable () -> Void]>([])

    /// - Returns: nil where this user may not make one.
    init?() {
        let made = Guarded<Bool?>(nil)
        let jobs = jobs
        Thread.start("namespace") {
            let entered = cs_unshare_network() == 0
            made.withLock { $0 = entered }
            while entered {
                let next = jobs.wait { $0.isEmpty ? nil : $0.removeFirst() }
                guard let next else { return }
                next()
            }
        }
        guard made.wait(until: { $0 }) == true else { return nil }
    }

    /// Runs `body` in the namespace and hands back what it returns.
    func run<T: Sendable>(_ body: @escaping @Sendable () throws -> T) throws -> T {
        let outcome = Guarded<Result<T, any Error>?>(nil)
        jobs.withLock {
            $0.append {
                let result = Result { try body() }; outcome.withLock { $0 = result }
            }
        }
        guard let result = outcome.wait(until: { $0 }) else { throw SystemError("run", "in a namespace", errno: EINTR) }
        return try result.get()
    }

    /// ip(8) or tc(8) there, each line a command; children of the thread are in its namespace.
    func configure(_ program: String = "ip", _ lines: String) throws -> String {
        try run {
            var output = ""
            for line in lines.split(separator: "\n") {
                let (read, write) = try makePipe()
                let words = line.split(separator: " ").map(String.init)
                let child = try ChildProcess.spawn("/usr/sbin/\(program)", words, descriptors: [0, write.raw, 2])
                write.close()
                output += String(decoding: try read.readToEnd(limit: 1 << 20), as: UTF8.self)
                guard child.wait() == .exited(0) else { throw SystemError(program, String(line), errno: EINVAL) }
            }
            return output
        }
    }
}

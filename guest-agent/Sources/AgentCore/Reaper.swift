import CAgent
import Glibc
import System

/// Waits for every child of this process, its own and the orphans it inherits as first process: the only place that does.
final class Reaper: Sendable {
    typealias Watcher = @Sendable (ExitStatus) -> Void

    private let watchers = Guarded<[pid_t: Watcher]>([:])

    /// `SIGCHLD` must be blocked in every thread: see `AgentProcess.prepareSignals`.
    init() {
        Thread.start("reaper") { self.run() }
    }

    /// Starts a child and registers what to do when it has ended, in one step as seen by the reaper.
    /// - Parameter watcher: runs on the reaper's thread and must not block.
    func spawn(_ start: () throws(SystemError) -> pid_t, watcher: @escaping Watcher) throws(SystemError) -> pid_t {
        try watchers.withLock { watchers throws(SystemError) in
            let pid = try start()
            watchers[pid] = watcher
            return pid
        }
    }

    private func run() {
        var childSignal = sigset_t()
        sigemptyset(&childSignal)
        sigaddset(&childSignal, SIGCHLD)
        while true {
            // One signal may stand for many children.
            while true {
                var status: Int32 = 0
                // Under the lock: a child that ends at once is not looked up before it is registered.
                let (pid, watcher) = watchers.withLock { watchers in
                    let pid = ca_reap(&status, 0)
                    return (pid, pid > 0 ? watchers.removeValue(forKey: pid) : nil)
                }
                if pid <= 0 { break }
                watcher?(ExitStatus(encoded: status))
            }
            var received: Int32 = 0
            sigwait(&childSignal, &received)
        }
    }
}

extension ExitStatus {
    /// From waitpid(2)'s encoding: the low seven bits are the signal, the second byte the exit code.
    init(encoded status: Int32) {
        let signal = status & 0x7f
        self = signal == 0 ? .exited((status >> 8) & 0xff) : .signalled(signal)
    }
}

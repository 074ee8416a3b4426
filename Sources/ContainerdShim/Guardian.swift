import CSystem
import Glibc
import Sandbox
import System

/// The parent of the sandbox's server, which does nothing but outlive it: however the server ends, whatever it started
/// ends with it, and its files go.
///
/// It works because every process of a sandbox is a descendant: the server is a child subreaper while it starts QEMU, so that
/// this stays its child though it daemonises; what others orphan, such as a hook, and what the server leaves when it is
/// killed, the kernel gives to the guardian, a subreaper too, which reaps it.
enum Guardian {
    /// Signals that ask a sandbox to end. Blocked in both processes; the server waits for them.
    static var endingSignals: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, number) }
        return set
    }

    /// Forks while the process is single-threaded; returns in the server, never in the guardian.
    /// - Returns: the guardian's number.
    static func start(_ options: ServeOptions) -> pid_t {
        let guardian = getpid()
        var set = endingSignals
        sigprocmask(SIG_BLOCK, &set, nil)
        guard cs_set_child_subreaper(1) == 0 else { fail("prctl(PR_SET_CHILD_SUBREAPER)") }
        let server = cs_fork()
        if server < 0 { fail("fork") }
        if server == 0 {
            // A guardian that is killed asks the server to end in order.
            guard cs_set_parent_death_signal(SIGTERM) == 0 else { fail("prctl") }
            // Killed before the kernel knew that it was to say so.
            if getppid() != guardian { kill(getpid(), SIGTERM) }
            return guardian
        }
        // The client's descriptors are the server's business alone: its end of the lifeline and the streams must close
        // with the server.
        for descriptor in Int32(3)...Int32(63) where descriptor != InheritedDescriptors.lock { close(descriptor) }
        let status = wait(for: server)
        killDescendants()
        options.removeFiles()
        HostCgroup.removeRecorded(options.cgroupRecord)
        try? Files.removeTree(options.stateDirectory)
        exit(status)
    }

    private static func fail(_ what: String) -> Never {
        fputs("\(SystemError(what))\n", cs_stderr())
        exit(125)
    }

    /// Waits for the server's end; meanwhile reaps what is handed over, and passes on signals that ask for the end.
    ///
    /// One thread does both. Had the guardian a second one, the server could be told of its death and ask who its parent is
    /// while a part of it still lives (prctl(2), `PR_SET_PDEATHSIG`).
    private static func wait(for server: pid_t) -> Int32 {
        var set = endingSignals
        sigaddset(&set, SIGCHLD)
        sigprocmask(SIG_BLOCK, &set, nil)
        var status: Int32 = 0
        while true {
            let pid = waitpid(-1, &status, WNOHANG)
            if pid == server { return cs_exited(status) != 0 ? cs_exit_code(status) : 128 + cs_term_signal(status) }
            if pid < 0 { return 255 }
            var number: Int32 = 0
            if pid == 0, sigwait(&set, &number) == 0, number != SIGCHLD { kill(server, SIGTERM) }
        }
    }

    /// Kills and reaps until there is nothing left: a child that dies may hand over children of its own.
    private static func killDescendants() {
        while true {
            let children = (try? Files.readText("/proc/self/task/\(getpid())/children")) ?? ""
            for child in children.split(separator: " ") {
                if let pid = pid_t(child) { kill(pid, SIGKILL) }
            }
            if waitpid(-1, nil, 0) < 0 && errno == ECHILD { return }
        }
    }
}

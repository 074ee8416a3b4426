import CSystem
import Glibc

/// How a process ended.
public enum ExitStatus: Equatable, Sendable {
    case exited(Int32)
    case signalled(Int32)

    init(waitStatus: Int32) {
        self = cs_exited(waitStatus) != 0 ? .exited(cs_exit_code(waitStatus)) : .signalled(cs_term_signal(waitStatus))
    }

    /// As a shell reports it: the code, or 128 + the signal.
    public var shellCode: Int32 {
        switch self {
        case .exited(let code): code
        case .signalled(let signal): 128 + signal
        }
    }
}

/// A child of this process, held by pidfd, so that no signal ever reaches a stranger that was given the same number.
public final class ChildProcess: Sendable {
    public let pid: pid_t
    /// Readable when the process has ended (`pidfd_open(2)`).
    public let pidfd: FileDescriptor
    private let status = Guarded<ExitStatus?>(nil)

    init(pid: pid_t, pidfd: FileDescriptor) {
        self.pid = pid
        self.pidfd = pidfd
    }

    /// Starts `path`.
    /// - Parameters:
    ///   - descriptors: what the child gets as 0, 1, 2, …; every other descriptor is closed.
    ///   - newSession: `setsid` in the child, so that the terminal's signals do not reach it.
    /// - Throws: `SystemError`, also when the program cannot be executed.
    public static func spawn(
        _ path: String, _ arguments: [String], environment: [String]? = nil, descriptors: [Int32] = [0, 1, 2],
        newSession: Bool = false
    ) throws(SystemError) -> ChildProcess {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Out of the way first, so that no target number overwrites a source still needed.
        var sources: [FileDescriptor] = []
        for descriptor in descriptors {
            let copy = try syscall("dup", "fd \(descriptor)") { fcntl(descriptor, F_DUPFD_CLOEXEC, 64) }
            sources.append(FileDescriptor(copy))
        }
        for (target, source) in sources.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, source.raw, Int32(target))
        }
        // Ours are all close-on-exec; those a library or our own parent left open are not.
        cs_close_from(&actions, Int32(descriptors.count))
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        var flags = Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
        // POSIX_SPAWN_SETSID, a GNU extension that Swift does not see.
        if newSession { flags |= 0x80 }
        posix_spawnattr_setflags(&attributes, Int16(flags))

        var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for pointer in argv { free(pointer) } }
        var envp: [UnsafeMutablePointer<CChar>?] = (environment ?? []).map { strdup($0) } + [nil]
        defer { for pointer in envp { free(pointer) } }

        var pid: pid_t = 0
        let result =
            environment == nil
            ? posix_spawn(&pid, path, &actions, &attributes, &argv, environ)
            : posix_spawn(&pid, path, &actions, &attributes, &argv, &envp)
        guard result == 0 else { throw SystemError("start", path, errno: result) }
        withExtendedLifetime(sources) {}
        // The child is ours and not yet waited for: its number cannot have been given to another.
        let pidfd = try syscall("pidfd_open") { cs_pidfd_open(pid) }
        return ChildProcess(pid: pid, pidfd: FileDescriptor(pidfd))
    }

    /// Sends a signal; a process that has ended is not an error.
    public func signal(_ number: Int32) { _ = cs_pidfd_send_signal(pidfd.raw, number) }

    /// Blocks until the process has ended. May be called any number of times, by one thread at a time.
    public func wait() -> ExitStatus {
        if let known = status.withLock({ $0 }) { return known }
        var code: Int32 = 0
        let fd = pidfd.raw
        // ECHILD: somebody else reaped it, which a process that is a subreaper may do by accident; its code is lost.
        let waited = try? syscall("waitid") { cs_wait_pidfd(fd, &code, 0) }
        let result = waited == nil ? ExitStatus.exited(255) : ExitStatus(waitStatus: code)
        status.withLock { $0 = result }
        return result
    }
}

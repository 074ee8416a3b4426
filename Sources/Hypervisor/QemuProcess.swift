import CSystem
import Glibc
import System

/// The QEMU of one root, from its first moment to its reaping, watched by a thread of its own.
///
/// libvirt daemonises QEMU, so it becomes a child of the nearest subreaper, now this process, and libvirt waits for it to
/// vanish without ever reaping it: unreaped, each start of a probe and each destroy takes until libvirt's timeouts (1.6
/// to 40 s). So whatever libvirt orphaned is reaped here, while a start is under way and after.
///
/// Safe from any thread: all state is behind one lock.
final class QemuProcess: Sendable {
    private struct State {
        var pid: pid_t?
        var handle: FileDescriptor?
        /// When the process was first seen to run the emulator.
        var executed: Duration?
        var status: ExitStatus?
        /// The start is over, whichever way: no more orphans come.
        var settled = false
        /// It is to end as soon as it is known.
        var unwanted = false
        var ended = false
    }

    private let pidFile: String
    private let emulatorName: String
    private let state = Guarded(State())
    private let ended: @Sendable (ExitStatus?) -> Void

    /// Starts watching; call before libvirt is asked for anything.
    /// - Parameter ended: called once from the watching thread when QEMU has ended, with its status where it was reaped
    ///   here; not called when it never came to be.
    init(pidFile: String, emulator: String, ended: @escaping @Sendable (ExitStatus?) -> Void) {
        self.pidFile = pidFile
        emulatorName = String(emulator.split(separator: "/").last?.prefix(15) ?? "")
        self.ended = ended
        Thread.start("qemu-reaper") { self.watch() }
    }

    var pid: pid_t? { state.withLock { $0.pid } }

    /// When, by the monotonic clock, the process began to be QEMU instead of libvirt's child: some 2 ms late, and more on a
    /// busy machine. Nil while that has not been seen.
    var executed: Duration? { state.withLock { $0.executed } }

    /// Nothing is being started any more. Blocks until QEMU's process is known, or known not to be.
    func settle() {
        state.withLock { $0.settled = true }
        _ = state.wait { $0.pid != nil || $0.ended ? true : nil }
    }

    /// Ends QEMU at once, or as soon as it is there while it is being started, and waits until it is reaped. Its disks are
    /// scratch, so there is nothing to save.
    func kill() {
        state.withLock { state in
            state.unwanted = true
            if let handle = state.handle, !state.ended { _ = cs_pidfd_send_signal(handle.raw, SIGKILL) }
        }
        _ = state.wait { $0.ended ? true : nil }
    }

    private func watch() {
        let handle = findOut()
        guard let handle else {
            state.withLock { $0.ended = true }
            return
        }
        waitForEnd(handle)
        let status = state.withLock { $0.status }
        state.withLock { $0.ended = true }
        ended(status)
    }

    /// Reaps orphans until QEMU's process is known and the start is over. - Returns: nil when there is none.
    private func findOut() -> FileDescriptor? {
        while true {
            // In this order: once settled, one more look at the file is the last word.
            let settled = state.withLock { $0.settled }
            if state.withLock({ $0.pid }) == nil { look() }
            noteExecution()
            let known = state.withLock { $0.pid }
            reapOrphans(except: known)
            // Once QEMU runs, libvirt has asked its probes all there is to ask.
            if settled || known != nil && state.withLock({ $0.settled || $0.executed != nil }) {
                return state.withLock { $0.handle }
            }
            if let handle = state.withLock({ $0.handle }) {
                // Ended during the start: reap now, since libvirt waits for it to vanish before it reports the failure.
                if handle.poll(timeoutInMilliseconds: 1) { return handle }
            } else {
                usleep(2000)
            }
        }
    }

    private func look() {
        guard let text = try? Files.readText(pidFile, limit: 64),
            let pid = pid_t(text.split(whereSeparator: \.isWhitespace).first ?? ""), pid > 1
        else { return }
        let raw = cs_pidfd_open(pid)
        guard raw >= 0 else { return }
        state.withLock {
            $0.handle = FileDescriptor(raw)
            $0.pid = pid
            if $0.unwanted { _ = cs_pidfd_send_signal(raw, SIGKILL) }
        }
    }

    /// libvirt writes the file before its child executes QEMU.
    private func noteExecution() {
        guard let pid, executed == nil else { return }
        let name = try? Files.readText("/proc/\(pid)/comm", limit: 64)
        guard name?.hasPrefix(emulatorName) == true else { return }
        state.withLock { $0.executed = Clock.monotonic }
    }

    private func waitForEnd(_ handle: FileDescriptor) {
        while !handle.poll(timeoutInMilliseconds: -1) {}
        var code: Int32 = 0
        // ECHILD: it ended so early that its parent, a child of libvirt's, has not ended yet, and it is not yet this process's;
        // or another is to reap it, since this process is no subreaper. That it ended is known all the same.
        for _ in 0..<2000 {
            if (try? syscall("waitid") { cs_wait_pidfd(handle.raw, &code, 0) }) != nil {
                let status =
                    cs_exited(code) != 0 ? ExitStatus.exited(cs_exit_code(code)) : .signalled(cs_term_signal(code))
                return state.withLock { $0.status = status }
            }
            guard cs_pidfd_send_signal(handle.raw, 0) == 0 else { return }
            usleep(1000)
        }
    }

    /// libvirt waits for the children it forks itself, which are of our session. What QEMU, probed for its capabilities,
    /// leaves by daemonising itself are two processes of a session of their own, and nobody waits for them.
    private func reapOrphans(except known: pid_t?) {
        let session = getsid(0)
        for child in Self.children() where child != known && getsid(child) != session {
            // `PID (NAME) STATE …` (proc(5)); the kernel keeps 15 bytes of a name.
            guard let text = try? Files.readText("/proc/\(child)/stat", limit: 4096),
                text.hasPrefix("\(child) (\(emulatorName)) Z ")
            else { continue }
            var code: Int32 = 0
            _ = waitpid(child, &code, WNOHANG)
        }
    }

    private static func children() -> [pid_t] {
        var result: [pid_t] = []
        for thread in (try? Files.list("/proc/self/task")) ?? [] {
            guard let text = try? Files.readText("/proc/self/task/\(thread)/children") else { continue }
            result += text.split(whereSeparator: \.isWhitespace).compactMap { pid_t($0) }
        }
        return result
    }
}

extension FileDescriptor {
    /// - Returns: whether it became readable within the time; -1 waits for ever, or until a signal.
    fileprivate func poll(timeoutInMilliseconds timeout: Int32) -> Bool {
        var entry = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
        return Glibc.poll(&entry, 1, timeout) > 0
    }
}

import Glibc
import OCISpec
import Sandbox
import System

/// The hooks of a container's specification that run on the host: each gets the container's state as JSON on its standard
/// input (runtime-spec, config.md "POSIX-platform Hooks", runtime.md "State").
///
/// nerdctl, for one, makes a container's network by them. They come from whoever may ask containerd for containers, and run
/// as root on the host, outside the sandbox: nothing of a guest's is handed to them.
struct ContainerHooks: Sendable {
    /// The moments, in the order of a life, and what the container's status is then.
    enum Moment: String, CaseIterable {
        case prestart, createRuntime, poststart, poststop

        var status: String {
            switch self {
            case .prestart, .createRuntime: "creating"
            case .poststart: "running"
            case .poststop: "stopped"
            }
        }
    }

    private let hooks: RuntimeSpec.Hooks
    private let state: State
    /// nil for this process's own namespaces.
    private let host: HostView?
    /// Of a hook that sets no time itself: longer than anything a client waits for.
    static let longest = Duration.seconds(300)

    /// - Parameters:
    ///   - bundle: of the container; files without a name are made there for what hooks read and write.
    ///   - host: the host's namespaces, where this process has left them.
    /// - Throws: `SandboxError` for hooks that cannot be run.
    init(_ spec: RuntimeSpec, id: String, bundle: String, host: HostView?) throws(SandboxError) {
        hooks = spec.hooks ?? RuntimeSpec.Hooks()
        state = State(ociVersion: RuntimeSpec.version, id: id, bundle: bundle, annotations: spec.annotations)
        self.host = host
        guard hooks.createContainer.isEmpty, hooks.startContainer.isEmpty else {
            throw SandboxError(
                .invalid,
                "the specification has createContainer or startContainer hooks, which are programs of the host to be run "
                    + "inside the container; the container is in a virtual machine, where they cannot run: leave them out"
            )
        }
        for hook in Moment.allCases.flatMap({ self[$0] }) {
            guard hook.path.hasPrefix("/") else {
                throw SandboxError(.invalid, "the hook \"\(hook.path)\" is not an absolute path")
            }
            if let timeout = hook.timeout, timeout <= 0 {
                throw SandboxError(
                    .invalid, "the hook \(hook.path) has a timeout of \(timeout) s; it must be more than 0")
            }
        }
    }

    private subscript(_ moment: Moment) -> [RuntimeSpec.Hook] {
        switch moment {
        case .prestart: hooks.prestart
        case .createRuntime: hooks.createRuntime
        case .poststart: hooks.poststart
        case .poststop: hooks.poststop
        }
    }

    /// Runs the hooks of a moment in order, until one fails.
    /// - Parameter pid: of the task; nil when it is gone.
    /// - Throws: `SandboxError` with the end of what the hook said. What fails before the start ends the container; what fails
    ///   later is only worth a line in the log (the specification's words).
    func run(_ moment: Moment, pid: pid_t?) throws(SandboxError) {
        guard !self[moment].isEmpty else { return }
        var state = state
        state.status = moment.status
        state.pid = pid
        do {
            let text = try OCIJSON.encode(state)
            for hook in self[moment] { try run(hook, moment, text) }
        } catch {
            throw error as? SandboxError ?? SandboxError(.failed, "\(moment.rawValue) hook: \(error)")
        }
    }

    private func run(_ hook: RuntimeSpec.Hook, _ moment: Moment, _ state: [UInt8]) throws {
        let input = try temporaryFile()
        try input.writeAll(state)
        lseek(input.raw, 0, SEEK_SET)
        let output = try temporaryFile()
        let start: @Sendable () throws(SystemError) -> ChildProcess = { () throws(SystemError) in
            // The program's name is its path: whoever needs another in its place can be called by it.
            try ChildProcess.spawn(
                hook.path, Array(hook.args.dropFirst()), environment: hook.env,
                descriptors: [input.raw, output.raw, output.raw], newSession: true)
        }
        let child = try host?.run("hook", start) ?? start()
        let limit = hook.timeout.map { Duration.seconds($0) } ?? Self.longest
        let name = "the \(moment.rawValue) hook \(hook.path)"
        guard child.wait(atMost: limit) != nil else {
            child.signal(SIGKILL)
            _ = child.wait()
            throw SandboxError(.failed, "\(name) did not end within \(limit.components.seconds) s and was killed")
        }
        switch child.wait() {
        case .exited(0): return
        case .exited(let code): throw SandboxError(.failed, "\(name) ended with status \(code)\(tail(of: output))")
        case .signalled(let signal):
            throw SandboxError(.failed, "\(name) was ended by signal \(signal)\(tail(of: output))")
        }
    }

    /// Files, not pipes: nothing has to read along, and children that a hook leaves behind keep nobody waiting.
    private func temporaryFile() throws(SystemError) -> FileDescriptor {
        var template = Array("\(state.bundle)/hook.XXXXXX".utf8CString)
        let fd = try syscall("mkstemp", state.bundle) { mkstemp(&template) }
        unlink(template)
        let file = FileDescriptor(fd)
        try syscall("fcntl", "FD_CLOEXEC") { fcntl(fd, F_SETFD, FD_CLOEXEC) }
        return file
    }

    private static let longestTail = 1024

    private func tail(of output: FileDescriptor) -> String {
        let size = lseek(output.raw, 0, SEEK_END)
        lseek(output.raw, max(0, size - off_t(Self.longestTail)), SEEK_SET)
        guard let bytes = try? output.readToEnd(limit: Self.longestTail), !bytes.isEmpty else { return "" }
        let lines = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline)
        return ": " + lines.joined(separator: "; ")
    }

    /// What a hook reads.
    private struct State: Encodable {
        var ociVersion: String
        var id: String
        var status = ""
        var pid: pid_t?
        var bundle: String
        var annotations: [String: String]
    }
}

extension ChildProcess {
    /// - Returns: nil when the time was up.
    func wait(atMost limit: Duration) -> ExitStatus? {
        let deadline = Clock.monotonic + limit
        while true {
            let left = (deadline - Clock.monotonic).milliseconds
            var request = pollfd(fd: pidfd.raw, events: Int16(POLLIN), revents: 0)
            let ready = poll(&request, 1, Int32(clamping: max(0, left)))
            if ready > 0 { return wait() }
            if ready == 0 && left <= 0 { return nil }
        }
    }
}

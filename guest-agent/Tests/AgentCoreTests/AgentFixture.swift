import AgentAPI
import Glibc
import System
import TTRPC

/// An agent as an ordinary process, in mount, PID and UTS namespaces of its own on this machine; its "host" is the test,
/// reached through unix sockets. Needs root.
final class AgentFixture {
    let client: Client
    private let directory: String
    private let agent: ChildProcess
    private var nextPort: UInt32 = 5000

    static let isPossible = geteuid() == 0 && Files.exists("/bin/busybox") && Files.exists("/usr/bin/unshare")

    init() throws {
        // A container's stream or an agent that has ended is an error of a write, not a signal.
        signal(SIGPIPE, SIG_IGN)
        var template = Array("/tmp/cloister-agent-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError("mkdtemp") }
        directory = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let listener = try UnixSocket.listen("\(directory)/\(Agent.controlPort)")
        // A control group of its own, seen as the root of all, with the agent in a leaf of it.
        let script = """
            mount -t cgroup2 cgroup2 /mnt && mkdir /mnt/$1 && echo 0 > /mnt/$1/cgroup.procs || exit 1
            exec unshare --mount --cgroup sh -c '
                mkdir /mnt/$1/agent && echo 0 > /mnt/$1/agent/cgroup.procs && umount /mnt || exit 1
                shift; exec unshare --pid --uts --fork --kill-child sh -c "
                    mount -t proc proc /proc && mount -t tmpfs tmpfs /run &&
                    mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 1
                    $1 serve $2; exit"
            ' sh "$@"
            """
        agent = try ChildProcess.spawn(
            "/usr/bin/unshare",
            ["--mount", "sh", "-c", script, "sh", Self.groupName(directory), Self.program, directory])
        var waiting = pollfd(fd: listener.raw, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, 20_000) == 1 else { throw SystemError("accept", "the agent", errno: ETIMEDOUT) }
        client = Client(try UnixSocket.accept(listener))
    }

    /// Beside the tests' own program.
    private static var program: String {
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? CommandLine.arguments[0]
        let parts = bundle.split(separator: "/", omittingEmptySubsequences: false)
        let end = parts.firstIndex { $0.hasSuffix(".xctest") } ?? parts.count - 1
        return parts[..<end].joined(separator: "/") + "/cloister-agent"
    }

    deinit {
        client.close()
        agent.signal(SIGKILL)
        _ = agent.wait()
        // The kernel takes the killed processes away a moment later.
        let clean = """
            mount -t cgroup2 cgroup2 /mnt; i=0
            until find /mnt/$1 -depth -type d -exec rmdir {} + 2>/dev/null || [ $((i += 1)) = 100 ]; do sleep 0.05; done
            """
        _ = try? ChildProcess.spawn(
            "/usr/bin/unshare", ["--mount", "sh", "-c", clean, "sh", Self.groupName(directory)]
        ).wait()
        try? Files.removeTree(directory)
    }

    private static func groupName(_ directory: String) -> String { String(directory.split(separator: "/")[1]) }

    /// A stream the agent is to dial.
    func stream() throws -> (port: UInt32, listener: FileDescriptor) {
        nextPort += 1
        return (nextPort, try UnixSocket.listen("\(directory)/\(nextPort)"))
    }

    struct Outcome {
        var exit = WaitProcessResponse()
        var output = ""
        var errors = ""
    }

    /// Runs a process to its end: a container's init, or another process of a running container.
    func run(
        _ container: String, process: String = "", input: [UInt8]? = nil, _ create: (ProcessIO) throws -> Void
    ) throws -> Outcome {
        let (stdin, stdout, stderr) = (try stream(), try stream(), try stream())
        var io = ProcessIO()
        io.stdinPort = input == nil ? 0 : stdin.port
        io.stdoutPort = stdout.port
        io.stderrPort = stderr.port
        try create(io)
        let reference = ProcessReference(containerID: container, processID: process)
        let output = try UnixSocket.accept(stdout.listener)
        let errors = try UnixSocket.accept(stderr.listener)
        if let input {
            let sink = try UnixSocket.accept(stdin.listener)
            Thread.start("test-input") {
                try? sink.writeAll(input)
                _ = shutdown(sink.raw, Int32(SHUT_WR))
            }
        }
        let collected = Guarded<[Int: String]>([:])
        for (index, stream) in [output, errors].enumerated() {
            Thread.start("test-output") {
                let bytes = (try? stream.readToEnd(limit: 1 << 30)) ?? []
                collected.withLock { $0[index] = String(decoding: bytes, as: UTF8.self) }
            }
        }
        _ = try client.call(Agent.startProcess, reference)
        var outcome = Outcome()
        outcome.exit = try client.call(Agent.waitProcess, reference, timeout: .seconds(60))
        let texts = collected.wait(timeout: .seconds(60)) { $0.count == 2 ? $0 : nil } ?? [:]
        outcome.output = texts[0] ?? ""
        outcome.errors = texts[1] ?? ""
        return outcome
    }

    /// Runs a shell command as a container's init, and deletes the container.
    func runContainer(
        _ id: String = "test", shell: String, input: [UInt8]? = nil, _ change: (inout ContainerSpec) -> Void = { _ in }
    ) throws -> Outcome {
        var spec = Self.spec(shell: shell)
        change(&spec)
        let outcome = try run(id, input: input) { io in
            _ = try self.create(id, spec, io)
        }
        _ = try client.call(Agent.deleteProcess, ProcessReference(containerID: id))
        return outcome
    }

    /// Runs a shell command as another process of a running container.
    func exec(
        _ container: String, _ id: String, _ shell: String, input: [UInt8]? = nil,
        _ change: (inout ProcessSpec) -> Void = { _ in }
    ) throws -> Outcome {
        var request = CreateProcessRequest()
        request.containerID = container
        request.processID = id
        request.process = Self.spec(shell: shell).process
        change(&request.process)
        return try run(container, process: id, input: input) { io in
            request.io = io
            _ = try self.client.call(Agent.createProcess, request)
        }
    }

    func create(_ id: String, _ spec: ContainerSpec, _ io: ProcessIO = ProcessIO()) throws -> ProcessResponse {
        var request = CreateContainerRequest()
        request.containerID = id
        request.spec = spec
        request.io = io
        return try client.call(Agent.createContainer, request)
    }

    /// What containerd gives a container, less what a machine without cgroup v2 controllers cannot.
    static func spec(shell: String) -> ContainerSpec {
        var spec = ContainerSpec()
        spec.process.arguments = ["/bin/busybox", "sh", "-c", shell]
        spec.process.environment = ["PATH=/bin"]
        let caps = [
            "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
            "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
            "CAP_AUDIT_WRITE",
        ]
        spec.process.capabilities.bounding = caps
        spec.process.capabilities.effective = caps
        spec.process.capabilities.permitted = caps
        spec.namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
        spec.mounts = [
            mount("/proc", "proc", ["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount(
                "/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", ["ro", "nosuid", "noexec", "nodev"]),
            mount("/bin/busybox", "bind", ["ro"], source: "/bin/busybox"),
        ]
        return spec
    }

    static func mount(_ destination: String, _ type: String, _ options: [String], source: String? = nil) -> Mount {
        var mount = Mount()
        mount.destination = destination
        mount.type = type
        mount.source = source ?? type
        mount.options = options
        return mount
    }
}

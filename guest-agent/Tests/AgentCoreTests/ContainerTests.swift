import AgentAPI
import Glibc
import System
import TTRPC
import Testing

/// What a container's program sees, by running one. Each case is a shell script, a change of the specification and what
/// the script prints.
@Suite(.enabled(if: AgentFixture.isPossible), .serialized)
struct ContainerTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var shell: String
        var expected: String
        var change: @Sendable (inout ContainerSpec) -> Void
        init(
            _ name: String, _ shell: String, _ expected: String,
            _ change: @escaping @Sendable (inout ContainerSpec) -> Void = { _ in }
        ) {
            testDescription = name
            self.shell = shell
            self.expected = expected
            self.change = change
        }
    }

    /// busybox's applets without links to them.
    private static let b = "busybox"

    static let cases = [
        Case("hostname and domainname", "\(b) hostname; \(b) cat /proc/sys/kernel/domainname", "web\nexample.org\n") {
            $0.hostname = "web"
            $0.domainname = "example.org"
        },
        Case("first process of its PID namespace", "echo $$", "1\n"),
        Case(
            "own network with loopback", "\(b) ip -o link | \(b) wc -l; \(b) ping -c1 -W1 127.0.0.1 | \(b) grep -c ttl",
            "1\n1\n"),
        Case(
            "sysctl of its own namespaces", "\(b) cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced",
            "1\n1\n"
        ) {
            $0.sysctls = ["net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"]
        },
        Case(
            "masked file and directory",
            "\(b) wc -c < /proc/version; \(b) ls /proc/tty | \(b) wc -l; echo x > /proc/tty/x || echo no", "0\n0\nno\n"
        ) {
            $0.maskedPaths = ["/proc/version", "/proc/tty", "/proc/not-there"]
        },
        Case("read-only paths", "echo 1 > /proc/sys/net/ipv4/ip_forward || echo no", "no\n") {
            $0.readOnlyPaths = ["/proc/sys", "/not/there"]
        },
        Case("read-only root", "echo x > /file || echo no; echo x > /dev/shm/file && echo yes", "no\nyes\n") {
            $0.readOnlyRoot = true
        },
        Case("writable root", "echo x > /file && \(b) cat /file", "x\n"),
        Case(
            "nothing of the guest is left", "\(b) grep -c ' /run' /proc/self/mountinfo; \(b) ls /",
            "0\nbin\ndev\nproc\nsys\n"),
        Case(
            "default devices",
            "for d in null zero full random urandom tty; do test -c /dev/$d && echo -n $d,; done; for l in ptmx fd stdin; do \(b) readlink /dev/$l; done",
            "null,zero,full,random,urandom,tty,pts/ptmx\n/proc/self/fd\n/proc/self/fd/0\n"),
        Case(
            "a device of its own", "\(b) stat -c '%F %t:%T %a %u:%g' /dev/sub/fuse",
            "character special file a:e5 640 3:4\n"
        ) {
            var device = Device()
            device.path = "/dev/sub/fuse"
            device.type = "c"
            (device.major, device.minor) = (10, 229)
            (device.fileMode, device.uid, device.gid) = (0o640, 3, 4)
            $0.devices = [device]
        },
        Case(
            "a device bound elsewhere",
            "\(b) stat -c '%F %t:%T %a %u:%g' /data/node; echo x > /data/node && \(b) grep -c ' /data/node ' /proc/mounts",
            "character special file 1:3 622 3:4\n1\n"
        ) {
            var mount = AgentFixture.mount("/data/node", "bind", ["rbind", "ro"])
            var device = Device()
            (device.path, device.type) = ("/data/node", "c")
            (device.major, device.minor) = (1, 3)
            (device.fileMode, device.uid, device.gid) = (0o622, 3, 4)
            mount.device = device
            $0.mounts.append(mount)
        },
        Case(
            "all devices of the guest", "\(b) stat -c '%F %t:%T' /dev/full /dev/net/tun; \(b) readlink /dev/ptmx",
            "character special file 1:7\ncharacter special file a:c8\npts/ptmx\n"
        ) { $0.allDevices = true },
        Case(
            "tmpfs options", "\(b) stat -c %a /t; \(b) grep ' /t ' /proc/mounts | \(b) grep -o noexec", "1700\nnoexec\n"
        ) {
            $0.mounts.append(AgentFixture.mount("/t", "tmpfs", ["noexec", "mode=1700", "size=1m"]))
        },
        Case("read-only tmpfs", "echo x > /t/f || echo no", "no\n") {
            $0.mounts.append(AgentFixture.mount("/t", "tmpfs", ["ro"]))
        },
        Case("tmpcopyup", "\(b) ls /bin; echo x > /bin/new && \(b) cat /bin/new", "busybox\nx\n") {
            $0.mounts.append(AgentFixture.mount("/bin", "tmpfs", ["tmpcopyup"]))
        },
        Case("read-only bind mount", "\(b) grep ' /bin/busybox ' /proc/mounts | \(b) grep -o '[ (,]ro,'", " ro,\n"),
        Case(
            "cgroup root is its own",
            "\(b) cat /proc/self/cgroup | \(b) grep ^0:; test -f /sys/fs/cgroup/cgroup.procs && echo yes", "0::/\nyes\n"
        ),
        Case(
            "capabilities", "\(b) grep Cap /proc/self/status | \(b) tr -d '\\t\\n'",
            "CapInh:0000000000000000CapPrm:00000000a80425fbCapEff:00000000a80425fbCapBnd:00000000a80425fbCapAmb:0000000000000000"
        ),
        Case(
            "ambient capability of an ordinary user",
            "\(b) grep -E 'CapPrm|CapEff|CapAmb' /proc/self/status | \(b) tr -d '\\t\\n'; \(b) id -u",
            "CapPrm:0000000000000400CapEff:0000000000000400CapAmb:00000000000004001000\n"
        ) {
            $0.process.uid = 1000
            let names = ["CAP_NET_BIND_SERVICE"]
            $0.process.capabilities.bounding = names
            $0.process.capabilities.effective = names
            $0.process.capabilities.permitted = names
            $0.process.capabilities.inheritable = names
            $0.process.capabilities.ambient = names
        },
        Case("no new privileges", "\(b) grep NoNewPrivs /proc/self/status | \(b) tr -d '\\t'", "NoNewPrivs:1\n") {
            $0.process.noNewPrivileges = true
        },
        Case("resource limits", "ulimit -n; ulimit -Hn; ulimit -c", "100\n200\n0\n") {
            var files = Rlimit()
            (files.type, files.soft, files.hard) = ("RLIMIT_NOFILE", 100, 200)
            var core = Rlimit()
            (core.type, core.soft, core.hard) = ("RLIMIT_CORE", 0, 0)
            $0.process.rlimits = [files, core]
        },
        Case("umask by default", "umask", "0022\n"),
        Case("umask", "umask", "0077\n") { $0.process.umask = 0o077 },
        Case("working directory is made", "pwd; \(b) stat -c %a:%u .", "/srv/app\n755:0\n") {
            $0.process.workingDirectory = "/srv/app"
        },
        Case(
            "numbers of user and groups", "\(b) id -u; \(b) id -g; \(b) id -G; echo $HOME", "1000\n1001\n1001 7 8\n/\n"
        ) {
            $0.process.uid = 1000
            $0.process.gid = 1001
            $0.process.additionalGids = [7, 8]
        },
        Case(
            "an ordinary user's /dev/stdout can be opened",
            "echo a > /dev/stdout; echo b > /dev/stderr; \(b) cat /proc/self/fd/0", "a\n"
        ) { $0.process.uid = 1000 },
        Case(
            "nothing inherited but the streams",
            "\(b) ls /proc/self/fd | \(b) wc -l; \(b) grep -E 'SigBlk|SigIgn' /proc/self/status | \(b) tr -d '\\t\\n'",
            "4\nSigBlk:0000000000000000SigIgn:0000000000000000"),
        Case("OOM score", "\(b) cat /proc/self/oom_score_adj", "500\n") { $0.process.oomScoreAdjustment = 500 },
        Case("environment", "echo $A-$B", "1-two words\n") { $0.process.environment += ["A=1", "B=two words"] },
        Case("PID namespace of the guest when none is asked for", "test $$ != 1 && echo yes", "yes\n") {
            $0.namespaces.removeAll { $0 == "pid" }
        },
        Case(
            "user namespace", "\(b) id -u; \(b) cat /proc/self/uid_map | \(b) tr -s ' '; echo x > /dev/null && echo ok",
            "0\n 0 0 4294967295\nok\n"
        ) {
            $0.namespaces.append("user")
            $0.sysctls = [:]
        },
        Case("mount destinations stay inside", "\(b) ls /tmp/made && \(b) ls -d /evil/out/made", "/evil/out/made\n") {
            // The directory has a symbolic link `out` to /../../../tmp.
            $0.mounts.append(AgentFixture.mount("/evil", "bind", ["rbind"], source: evilDirectory))
            $0.mounts.append(AgentFixture.mount("/evil/out/made", "tmpfs", []))
        },
    ]

    /// Holds a link that would lead out of a root that is resolved by string.
    static let evilDirectory: String = {
        let path = "/tmp/cloister-evil-\(getpid())"
        try? Files.makeDirectories(path)
        atexit { try? Files.removeTree("/tmp/cloister-evil-\(getpid())") }
        symlink("/../../../tmp", "\(path)/out")
        return path
    }()

    @Test(arguments: cases) func sees(_ one: Case) throws {
        let agent = try AgentFixture()
        let outcome = try agent.runContainer(shell: one.shell, one.change)
        #expect(outcome.output == one.expected, "\(outcome.errors)")
        #expect(!Files.exists("/tmp/made"), "a mount point was made outside the container's root")
    }

    @Test func answersHello() throws {
        let agent = try AgentFixture()
        var hello = HelloRequest()
        hello.version = Agent.version
        #expect(try agent.client.call(Agent.hello, hello).version == Agent.version)
        hello.version = 999
        #expect(throws: RPCError.self) { try agent.client.call(Agent.hello, hello) }
    }

    @Test func tellsHowItEnded() throws {
        let agent = try AgentFixture()
        let outcome = try agent.runContainer(shell: "echo out; echo err >&2; exit 7")
        #expect(outcome.output == "out\n")
        #expect(outcome.errors == "err\n")
        #expect(outcome.exit.exitStatus == 7 && outcome.exit.signal == 0)
    }

    struct Refusal: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var code: RPCError.Code
        var text: String
        var change: @Sendable (inout ContainerSpec) -> Void
        init(
            _ name: String, _ code: RPCError.Code, _ text: String,
            _ change: @escaping @Sendable (inout ContainerSpec) -> Void
        ) {
            (testDescription, self.code, self.text, self.change) = (name, code, text, change)
        }
    }

    static let refusals = [
        Refusal("no such command", .notFound, "exec: \"foo\": executable file not found in $PATH") {
            $0.process.arguments = ["foo"]
        },
        Refusal("no such file", .notFound, "exec: \"/bin/foo\": stat /bin/foo: no such file or directory") {
            $0.process.arguments = ["/bin/foo"]
        },
        Refusal("a directory", .permissionDenied, "exec: \"/bin\": is a directory") { $0.process.arguments = ["/bin"] },
        Refusal("not executable", .permissionDenied, "exec: \"/proc/version\": permission denied") {
            $0.process.arguments = ["/proc/version"]
        },
        Refusal("no command", .invalidArgument, "no command was given") { $0.process.arguments = [] },
        Refusal("no such user", .failedPrecondition, "unable to find user nobody: no matching entries in passwd file") {
            $0.process.user = "nobody"
        },
        Refusal("no such group", .failedPrecondition, "unable to find group staff: no matching entries in group file") {
            $0.process.user = "0:staff"
        },
        Refusal("no such limit", .invalidArgument, "there is no resource limit \"RLIMIT_FOO\"") {
            var limit = Rlimit()
            limit.type = "RLIMIT_FOO"
            $0.process.rlimits = [limit]
        },
        Refusal("no such namespace", .invalidArgument, "there is no kind of namespace called \"moon\"") {
            $0.namespaces.append("moon")
        },
        Refusal("bind source missing", .notFound, "mount at /x: stat /not/there: No such file or directory") {
            $0.mounts.append(AgentFixture.mount("/x", "bind", [], source: "/not/there"))
        },
        Refusal("no such filesystem", .internal, "mount of moonfs at /x: mount: No such device") {
            $0.mounts.append(AgentFixture.mount("/x", "moonfs", []))
        },
        Refusal(
            "no such kernel parameter", .invalidArgument,
            "kernel parameter net.moon = 1: open /proc/sys/net/moon: No such file or directory"
        ) { $0.sysctls = ["net.moon": "1"] },
        Refusal("kernel parameter that climbs", .invalidArgument, "\"net/../../x\" cannot be a kernel parameter") {
            $0.sysctls = ["net/../../x": "1"]
        },
    ]

    @Test(arguments: refusals) func refuses(_ one: Refusal) throws {
        let agent = try AgentFixture()
        let error = try #require(throws: RPCError.self) { try agent.runContainer(shell: "", one.change) }
        #expect(error.code == one.code)
        #expect(error.message == one.text)
        // What was half made is gone: the same name works.
        _ = try? agent.client.call(Agent.deleteProcess, ProcessReference(containerID: "test"))
        #expect(try agent.runContainer(shell: "echo again").output == "again\n")
    }
}

import AgentAPI
import Glibc
import System
import TTRPC
import Testing

/// Processes that join a running container, signals, streams and terminals.
@Suite(.enabled(if: AgentFixture.isPossible), .serialized)
struct ProcessTests {
    private func exec(
        _ agent: AgentFixture, _ id: String, _ shell: String, input: [UInt8]? = nil,
        _ change: (inout ProcessSpec) -> Void = { _ in }
    ) throws -> AgentFixture.Outcome {
        try agent.exec("box", id, shell, input: input, change)
    }

    private func startBox(
        _ agent: AgentFixture, _ shell: String = "exec busybox sleep 1000",
        _ change: (inout ContainerSpec) -> Void = { _ in }
    ) throws -> ProcessResponse {
        var spec = AgentFixture.spec(shell: shell)
        change(&spec)
        let response = try agent.create("box", spec)
        _ = try agent.client.call(Agent.startProcess, ProcessReference(containerID: "box"))
        return response
    }

    /// Fails mkdir(2) and mkdirat(2) with EXDEV and kills for sync(2): by x86-64's numbers, the first two by i386's as well.
    private static let filter: SeccompFilter = {
        let instructions: [(code: UInt16, whenTrue: UInt8, whenFalse: UInt8, value: UInt32)] = [
            (0x20, 0, 0, 4),  // load the architecture
            (0x15, 5, 0, 0x4000_0003),  // i386: below
            (0x20, 0, 0, 0),  // load the call's number
            (0x15, 7, 0, 83), (0x15, 6, 0, 258), (0x15, 6, 0, 162),
            (0x06, 0, 0, 0x7fff_0000),  // allow
            (0x20, 0, 0, 0), (0x15, 2, 0, 39), (0x15, 1, 0, 296), (0x06, 0, 0, 0x7fff_0000),
            (0x06, 0, 0, 0x0005_0000 | UInt32(EXDEV)), (0x06, 0, 0, 0x8000_0000),
        ]
        var filter = SeccompFilter()
        for (code, whenTrue, whenFalse, value) in instructions {
            withUnsafeBytes(of: code) { filter.program += $0 }
            filter.program += [whenTrue, whenFalse]
            withUnsafeBytes(of: value) { filter.program += $0 }
        }
        return filter
    }()

    @Test(arguments: [false, true]) func filtersSystemCalls(noNewPrivileges: Bool) throws {
        let agent = try AgentFixture()
        let outcome = try agent.runContainer(shell: "busybox mkdir /a; busybox sync; echo $?") {
            $0.seccomp = Self.filter
            $0.process.noNewPrivileges = noNewPrivileges
        }
        #expect(outcome.errors.contains("can't create directory '/a': Invalid cross-device link"))
        #expect(outcome.output == "159\n")
    }

    /// 65537 is 1 in the kernel's count of 16 bits, and this program's first instruction allows everything.
    @Test(arguments: [0, 4097, 65537]) func refusesAFilterThatTheKernelDoes(_ count: Int) throws {
        let agent = try AgentFixture()
        let allow: [UInt8] = [6, 0, 0, 0, 0, 0, 0xff, 0x7f]
        let error = try #require(throws: RPCError.self) {
            try agent.runContainer(shell: "echo ran") {
                $0.seccomp = SeccompFilter()
                $0.seccomp?.program = [[UInt8]](repeating: allow, count: count).flatMap { $0 }
            }
        }
        #expect(error.message == "seccomp: Invalid argument")
    }

    /// mkdir("/proc/a", 0), which no kernel does, by its 32-bit number; exits with the error's number.
    @Test(.enabled(if: run32BitProgram() != nil)) func filtersSystemCallsOf32BitPrograms() throws {
        let agent = try AgentFixture()
        let program = try #require(Self.run32BitProgram())
        defer { unlink(program) }
        for (profile, expected) in [(nil, UInt32(ENOENT)), (Self.filter, UInt32(EXDEV))] {
            let outcome = try agent.runContainer(shell: "/mkdir32") {
                $0.seccomp = profile
                $0.mounts.append(AgentFixture.mount("/mkdir32", "bind", [], source: program))
            }
            #expect(outcome.exit.exitStatus == expected)
        }
    }

    /// Builds the program; nil where this machine cannot build or run it.
    private static func run32BitProgram() -> String? {
        let source = """
            .globl _start
            _start: mov $39, %eax; mov $path, %ebx; xor %ecx, %ecx; int $0x80
            neg %eax; mov %eax, %ebx; mov $1, %eax; int $0x80
            .data
            path: .asciz "/proc/a"
            """
        let path = "/tmp/cloister-mkdir32-\(getpid())"
        let script = "printf '%s\n' \"$2\" | as --32 -o $1.o - && ld -m elf_i386 -o $1 $1.o && rm $1.o && $1"
        let built = try? ChildProcess.spawn(
            "/bin/sh", ["-c", script, "sh", path, source], environment: ["PATH=/usr/bin:/bin"])
        return built?.wait() == .exited(ENOENT) ? path : nil
    }

    @Test func joinsARunningContainer() throws {
        let agent = try AgentFixture()
        _ = try startBox(agent) {
            $0.hostname = "inner"
            $0.seccomp = Self.filter
        }
        let outcome = try exec(
            agent, "1",
            "busybox hostname; busybox ps | busybox grep -c 'sleep 100[0]'; busybox grep ^0: /proc/self/cgroup; busybox mkdir /a; echo in-$A; exit 3"
        ) {
            $0.environment.append("A=b")
        }
        #expect(outcome.output == "inner\n1\n0::/\nin-b\n")
        #expect(outcome.errors.contains("Invalid cross-device link"), "the container's filter holds for those who join")
        #expect(outcome.exit.exitStatus == 3)
        let error = try #require(throws: RPCError.self) { try exec(agent, "2", "") { $0.arguments = ["nope"] } }
        #expect(error.code == .notFound && error.message == "exec: \"nope\": executable file not found in $PATH")
    }

    @Test func waitDoesNotHangOnAStreamThatADescendantHolds() throws {
        let agent = try AgentFixture()
        _ = try startBox(agent)
        let outcome = try exec(agent, "1", "busybox sleep 1000 & echo done")
        #expect(outcome.output == "done\n")
    }

    @Test func theEndOfTheInitProcessEndsAll() throws {
        let agent = try AgentFixture()
        let outcome = try agent.runContainer(shell: "busybox sleep 1000 & echo done; exit 4")
        #expect(outcome.output == "done\n")
        #expect(outcome.exit.exitStatus == 4)
    }

    @Test func signals() throws {
        let agent = try AgentFixture()
        _ = try startBox(agent, "trap 'exit 9' TERM; while :; do busybox sleep 0.01; done")
        var request = SignalProcessRequest()
        request.process = ProcessReference(containerID: "box")
        // Until the shell has set its trap, its first process ignores the signal: hence once more.
        var exit: WaitProcessResponse?
        while exit == nil {
            request.signal = UInt32(SIGTERM)
            _ = try? agent.client.call(Agent.signalProcess, request)
            exit = try? agent.client.call(Agent.waitProcess, request.process, timeout: .milliseconds(50))
        }
        #expect(exit?.exitStatus == 9)
        let error = try #require(throws: RPCError.self) { try agent.client.call(Agent.signalProcess, request) }
        #expect(error.code == .notFound)
    }

    @Test func killsAll() throws {
        let agent = try AgentFixture()
        _ = try startBox(agent)
        var request = SignalProcessRequest()
        request.process = ProcessReference(containerID: "box")
        request.signal = UInt32(SIGKILL)
        request.all = true
        _ = try agent.client.call(Agent.signalProcess, request)
        let exit = try agent.client.call(Agent.waitProcess, request.process, timeout: .seconds(20))
        #expect(exit.exitStatus == 137 && exit.signal == 9)
        _ = try agent.client.call(Agent.deleteProcess, request.process)
        #expect(throws: RPCError.self) { try agent.client.call(Agent.waitProcess, request.process) }
    }

    @Test func deletesWhatWasNeverStarted() throws {
        let agent = try AgentFixture()
        let box = ProcessReference(containerID: "box")
        _ = try agent.create("box", AgentFixture.spec(shell: "exit 0"))
        let error = try #require(throws: RPCError.self) { try agent.create("box", AgentFixture.spec(shell: "exit 0")) }
        #expect(error.code == .alreadyExists)
        _ = try agent.client.call(Agent.deleteProcess, box)
        _ = try agent.create("box", AgentFixture.spec(shell: "exit 0"))
        _ = try agent.client.call(Agent.startProcess, box)
        let again = try #require(throws: RPCError.self) { try agent.client.call(Agent.startProcess, box) }
        #expect(again.code == .failedPrecondition)
    }

    @Test func carriesBytesThroughBothStreams() throws {
        let agent = try AgentFixture()
        let line = Array("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n".utf8)
        let input = [UInt8]((0..<400_000).map { _ in line }.joined())
        let outcome = try agent.runContainer(shell: "busybox cat", input: input)
        #expect(outcome.output.utf8.elementsEqual(input))
        #expect(outcome.exit.exitStatus == 0)
    }

    @Test func aReaderThatLeavesEndsTheWriter() throws {
        let agent = try AgentFixture()
        let stdout = try agent.stream()
        var io = ProcessIO()
        io.stdoutPort = stdout.port
        _ = try agent.create("box", AgentFixture.spec(shell: "exec busybox yes"), io)
        let connection = try UnixSocket.accept(stdout.listener)
        let box = ProcessReference(containerID: "box")
        _ = try agent.client.call(Agent.startProcess, box)
        _ = try connection.readExactly(1000)
        connection.close()
        let exit = try agent.client.call(Agent.waitProcess, box, timeout: .seconds(20))
        // As first process of its namespace it is not ended by the signal, but sees the error.
        #expect(exit.exitStatus == 1)
    }

    @Test func anOutputThatNobodyReadsDoesNotHideTheEnd() throws {
        let agent = try AgentFixture()
        let (stdout, stderr) = (try agent.stream(), try agent.stream())
        var io = ProcessIO()
        (io.stdoutPort, io.stderrPort) = (stdout.port, stderr.port)
        // As much as pipe and connection hold without a reader, and then as much as they never hold.
        let script = "busybox head -c 100000 /dev/zero; echo started >&2; busybox head -c 10000000 /dev/zero"
        _ = try agent.create("box", AgentFixture.spec(shell: script), io)
        let unread = try UnixSocket.accept(stdout.listener)
        let errors = try UnixSocket.accept(stderr.listener)
        let box = ProcessReference(containerID: "box")
        _ = try agent.client.call(Agent.startProcess, box)
        _ = try errors.readExactly(8)
        var request = SignalProcessRequest()
        request.process = box
        request.signal = UInt32(SIGKILL)
        _ = try agent.client.call(Agent.signalProcess, request)
        #expect(try agent.client.call(Agent.waitProcess, box, timeout: .seconds(20)).exitStatus == 137)
        // What it had written is not lost for that.
        _ = try unread.readExactly(100_000)
        _ = try agent.client.call(Agent.deleteProcess, box, timeout: .seconds(20))
    }

    @Test func aProcessThatEndsEndsItsInput() throws {
        let agent = try AgentFixture()
        let stdin = try agent.stream()
        var io = ProcessIO()
        io.stdinPort = stdin.port
        _ = try agent.create("box", AgentFixture.spec(shell: "exit 0"), io)
        let connection = try UnixSocket.accept(stdin.listener)
        _ = try agent.client.call(Agent.startProcess, ProcessReference(containerID: "box"))
        #expect(try connection.readExactly(1) == nil, "the agent closes the stream")
    }

    @Test func terminal() throws {
        let agent = try AgentFixture()
        let (stdin, stdout) = (try agent.stream(), try agent.stream())
        var spec = AgentFixture.spec(
            shell:
                "busybox tty; busybox stty size; read line; echo got $line; busybox stty size; test -c /dev/console && echo console"
        )
        spec.process.terminal = true
        (spec.process.rows, spec.process.columns) = (33, 77)
        spec.process.uid = 1000
        var io = ProcessIO()
        (io.stdinPort, io.stdoutPort) = (stdin.port, stdout.port)
        _ = try agent.create("box", spec, io)
        let input = try UnixSocket.accept(stdin.listener)
        let output = try UnixSocket.accept(stdout.listener)
        let box = ProcessReference(containerID: "box")
        var resize = ResizeTerminalRequest()
        resize.process = box
        (resize.rows, resize.columns) = (44, 88)
        _ = try agent.client.call(Agent.startProcess, box)
        #expect(try output.readExactly(19).map { String(decoding: $0, as: UTF8.self) } == "/dev/pts/0\r\n33 77\r\n")
        _ = try agent.client.call(Agent.resizeTerminal, resize)
        try input.writeAll(Array("hi\n".utf8))
        _ = shutdown(input.raw, Int32(SHUT_WR))
        let rest = String(decoding: try output.readToEnd(limit: 4096), as: UTF8.self)
        #expect(rest == "hi\r\ngot hi\r\n44 88\r\nconsole\r\n")
        #expect(try agent.client.call(Agent.waitProcess, box, timeout: .seconds(20)).exitStatus == 0)
    }
}

import AgentAPI
import Glibc
import System
import TTRPC
import Testing

/// The verbs of a container that runs. Limits of memory and processes need controllers that this machine may not have in
/// its cgroup v2 hierarchy; real guests are tested for those.
@Suite(.enabled(if: AgentFixture.isPossible), .serialized)
struct RunningContainerTests {
    private static let b = "busybox"
    private let box = ContainerReference("box")
    private let boxProcess = ProcessReference(containerID: "box")

    private func start(
        _ agent: AgentFixture, _ shell: String = "exec \(b) sleep 1000", _ io: ProcessIO = ProcessIO(),
        _ change: (inout ContainerSpec) -> Void = { _ in }
    ) throws -> ProcessResponse {
        var spec = AgentFixture.spec(shell: shell)
        change(&spec)
        _ = try agent.create("box", spec, io)
        return try agent.client.call(Agent.startProcess, boxProcess)
    }

    private func signal(_ agent: AgentFixture, _ number: Int32) throws {
        var request = SignalProcessRequest()
        request.process = boxProcess
        request.signal = UInt32(number)
        _ = try agent.client.call(Agent.signalProcess, request)
    }

    @Test func pausesAndResumes() throws {
        let agent = try AgentFixture()
        let stdout = try agent.stream()
        var io = ProcessIO()
        io.stdoutPort = stdout.port
        _ = try start(agent, "while :; do echo .; \(Self.b) usleep 1000; done", io)
        let output = try UnixSocket.accept(stdout.listener)
        _ = try output.readExactly(10)
        _ = try agent.client.call(Agent.pauseContainer, box)
        // What was on its way arrives; then nothing does.
        var polled = pollfd(fd: output.raw, events: Int16(POLLIN), revents: 0)
        var quiet = false
        for _ in 0..<1000 where !quiet {
            if poll(&polled, 1, 300) == 0 { quiet = true } else { _ = try output.readExactly(1) }
        }
        #expect(quiet)
        let error = try #require(throws: RPCError.self) { try agent.exec("box", "1", "echo never") }
        #expect(error.code == .failedPrecondition && error.message == "container box is paused")
        _ = try agent.client.call(Agent.resumeContainer, box)
        #expect(try output.readExactly(10) != nil)
        #expect(try agent.exec("box", "2", "echo again").output == "again\n")
        _ = try agent.client.call(Agent.resumeContainer, box)
    }

    @Test func killsWhatIsPaused() throws {
        let agent = try AgentFixture()
        _ = try start(agent)
        _ = try agent.client.call(Agent.pauseContainer, box)
        try signal(agent, SIGKILL)
        #expect(try agent.client.call(Agent.waitProcess, boxProcess, timeout: .seconds(20)).exitStatus == 137)
        let error = try #require(throws: RPCError.self) { try agent.client.call(Agent.pauseContainer, box) }
        #expect(error.code == .failedPrecondition && error.message == "container box is not running")
    }

    @Test func deletesWhatIsPaused() throws {
        let agent = try AgentFixture()
        _ = try start(agent)
        _ = try agent.client.call(Agent.pauseContainer, box)
        _ = try agent.client.call(Agent.deleteProcess, boxProcess, timeout: .seconds(20))
        #expect(try agent.runContainer("box", shell: "echo next").output == "next\n")
    }

    @Test func killsWhatWasNeverStarted() throws {
        let agent = try AgentFixture()
        _ = try agent.create("box", AgentFixture.spec(shell: "exit 0"))
        try signal(agent, SIGKILL)
        #expect(try agent.client.call(Agent.waitProcess, boxProcess, timeout: .seconds(20)).exitStatus == 137)
    }

    @Test func updatesWhatIsGiven() throws {
        let agent = try AgentFixture()
        _ = try start(agent)
        var request = UpdateContainerRequest()
        request.containerID = "box"
        request.resources.unified = ["cgroup.max.descendants": "5"]
        _ = try agent.client.call(Agent.updateContainer, request)
        let read = "\(Self.b) cat /sys/fs/cgroup/cgroup.max.descendants /sys/fs/cgroup/cgroup.max.depth"
        #expect(try agent.exec("box", "1", read).output == "5\nmax\n")
        request.resources.unified = ["cgroup.max.descendants": "moon"]
        let error = try #require(throws: RPCError.self) { try agent.client.call(Agent.updateContainer, request) }
        #expect(error.code == .invalidArgument)
        #expect(error.message.hasPrefix("limit cgroup.max.descendants = moon of the container: "))
    }

    @Test func listsProcessesAndCounts() throws {
        let agent = try AgentFixture()
        // One of them in a group of the container's own making.
        let stdout = try agent.stream()
        var io = ProcessIO()
        io.stdoutPort = stdout.port
        let script = """
            \(Self.b) mkdir /sys/fs/cgroup/sub; \(Self.b) sleep 1000 & \(Self.b) sleep 1000 &
            echo $! > /sys/fs/cgroup/sub/cgroup.procs; echo ready; wait
            """
        let pid = try start(agent, script, io) { spec in
            for index in spec.mounts.indices where spec.mounts[index].type == "cgroup" {
                spec.mounts[index].options = []
            }
        }.pid
        _ = try UnixSocket.accept(stdout.listener).readExactly(6)
        let pids = try agent.client.call(Agent.containerProcesses, box).pids
        #expect(pids.count == 3 && pids.contains(pid))
        let before = try agent.client.call(Agent.containerStats, box)
        _ = try agent.exec("box", "1", "i=0; while [ $i -lt 10000 ]; do i=$((i + 1)); done")
        let after = try agent.client.call(Agent.containerStats, box)
        #expect(after.cpu["usage_usec", default: 0] > before.cpu["usage_usec", default: 0])
        #expect(after.atInNanoseconds > before.atInNanoseconds)
    }

    @Test func waitingForWantOfMemoryEndsWithTheContainer() throws {
        let agent = try AgentFixture()
        _ = try start(agent)
        var count = OutOfMemoryCount()
        count.containerID = "box"
        count.kills = 7
        let known = count
        let client = agent.client
        let ended = Guarded<Result<OutOfMemoryCount, RPCError>?>(nil)
        Thread.start("test-memory") {
            let answer = Result { () throws(RPCError) in try client.call(Agent.waitOutOfMemory, known) }
            ended.withLock { $0 = answer }
        }
        let error = try #require(throws: RPCError.self) {
            try client.call(Agent.waitOutOfMemory, known, timeout: .milliseconds(200))
        }
        #expect(error.code == .deadlineExceeded)
        #expect(ended.withLock { $0 == nil })
        _ = try client.call(Agent.deleteProcess, boxProcess)
        switch try #require(ended.wait(timeout: .seconds(20)) { $0 }) {
        case .success(let answer): #expect(answer.kills == 7)
        // The thread had not come to ask before the container was gone.
        case .failure(let error): #expect(error.code == .notFound)
        }
    }
}

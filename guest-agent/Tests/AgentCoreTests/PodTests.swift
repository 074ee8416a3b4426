import AgentAPI
import Glibc
import Protobuf
import System
import TTRPC
import Testing

/// Containers of one guest that share namespaces, come after one another or go together.
@Suite(.enabled(if: AgentFixture.isPossible), .serialized)
struct PodTests {
    private static let b = "busybox"
    private static let sleeping = "exec \(b) sleep 1000"

    /// Starts a container that others may share with.
    private func start(
        _ agent: AgentFixture, _ id: String, _ shell: String = sleeping,
        _ change: (inout ContainerSpec) -> Void = { _ in }
    ) throws {
        var spec = AgentFixture.spec(shell: shell)
        change(&spec)
        _ = try agent.create(id, spec)
        _ = try agent.client.call(Agent.startProcess, ProcessReference(containerID: id))
    }

    private func share(_ kinds: String..., with id: String) -> (inout ContainerSpec) -> Void {
        { spec in
            spec.namespaces.removeAll { kinds.contains($0) }
            for kind in kinds { spec.joinedNamespaces[kind] = id }
        }
    }

    private let identity =
        "for kind in ipc net pid uts mnt; do \(b) readlink /proc/self/ns/$kind; done; \(b) hostname"

    @Test func sharesNamespaces() throws {
        let agent = try AgentFixture()
        try start(agent, "first") { $0.hostname = "pod" }
        let first = try agent.exec("first", "1", identity).output.split(separator: "\n")
        try start(agent, "second", Self.sleeping, share("ipc", "network", "pid", "uts", with: "first"))
        let second = try agent.exec("second", "1", identity).output.split(separator: "\n")
        #expect(first.count == 6 && second.count == 6)
        #expect(first[0..<4] == second[0..<4], "ipc, network, pid and uts are the first container's")
        #expect(first[4] != second[4], "mounts are the container's own")
        #expect(second[5] == "pod")
        // Each sees the other's processes, and /proc shows the namespace that is shared.
        for id in ["first", "second"] {
            #expect(try agent.exec(id, "2", "\(Self.b) ps | \(Self.b) grep -c 'sleep 100[0]'").output == "2\n")
        }
        let third = try agent.runContainer("third", shell: "echo $$; \(identity)", share("pid", "ipc", with: "second"))
        let lines = third.output.split(separator: "\n")
        #expect(lines[0] != "1" && lines[1] == first[0] && lines[2] != first[1] && lines[3] == first[2])
    }

    @Test func namespacesOutliveTheFirstProcess() throws {
        let agent = try AgentFixture()
        try start(agent, "first", "exit 0") {
            $0.hostname = "pod"
            $0.sysctls = ["kernel.shm_rmid_forced": "1"]
        }
        _ = try agent.client.call(Agent.waitProcess, ProcessReference(containerID: "first"))
        let outcome = try agent.runContainer(
            "second", shell: "\(Self.b) hostname; \(Self.b) cat /proc/sys/kernel/shm_rmid_forced",
            share("uts", "ipc", with: "first"))
        #expect(outcome.output == "pod\n1\n")
        let error = try #require(throws: RPCError.self) {
            try agent.runContainer("third", shell: "", share("pid", with: "first"))
        }
        #expect(error.code == .failedPrecondition)
        #expect(error.message.hasSuffix("cannot start: the first process of its PID namespace has ended"))
    }

    @Test(arguments: [
        ("user", "first", "a container cannot share the user namespace of another"),
        ("ipc", "nobody", "there is no container nobody"),
        ("time", "first", "container first has no time namespace of its own to share"),
    ])
    func refuses(kind: String, id: String, message: String) throws {
        let agent = try AgentFixture()
        try start(agent, "first")
        let error = try #require(throws: RPCError.self) {
            try agent.runContainer("second", shell: "", share(kind, with: id))
        }
        #expect(error.message == message)
    }

    @Test func theEndOfTheFirstProcessEndsAllInASharedPIDNamespace() throws {
        let agent = try AgentFixture()
        try start(agent, "first")
        // The output ends when the last process that holds it has.
        let outcome = try agent.runContainer(
            "second", shell: "\(Self.b) sleep 1000 & echo done; exit 4", share("pid", with: "first"))
        #expect(outcome.output == "done\n" && outcome.exit.exitStatus == 4)
        #expect(try agent.exec("first", "1", "\(Self.b) ps | \(Self.b) grep -c 'sleep 100[0]'").output == "1\n")
    }

    @Test func aNameCanBeUsedAgainAtOnce() throws {
        let agent = try AgentFixture()
        for _ in 0..<5 {
            let reference = ProcessReference(containerID: "box")
            try start(agent, "box")
            let client = agent.client
            let removal = Guarded<Bool?>(nil)
            Thread.start("test-delete") {
                let done = (try? client.call(Agent.deleteProcess, reference)) != nil
                removal.withLock { $0 = done }
            }
            // Killed, or gone: its removal is under way or over, mostly the former, when the next call comes.
            do { _ = try agent.client.call(Agent.waitProcess, reference, timeout: .seconds(20)) } catch {
                #expect(error.code == .notFound)
            }
            #expect(try agent.runContainer("box", shell: "echo next").output == "next\n")
            #expect(removal.wait(timeout: .seconds(20)) { $0 } == true)
        }
    }

    @Test func shutdownEndsAll() throws {
        let agent = try AgentFixture()
        for index in 0..<6 { try start(agent, "box\(index)") }
        _ = try agent.client.call(Agent.shutdown, Empty(), timeout: .seconds(30))
        for index in 0..<6 {
            let error = try #require(throws: RPCError.self) {
                try agent.client.call(Agent.containerProcesses, ContainerReference("box\(index)"))
            }
            #expect(error.code == .notFound)
        }
    }
}

import AgentAPI
import System
import TTRPC
import Testing

@Suite(.enabled(if: AgentFixture.isPossible), .serialized)
struct ContainerTests {
    @Test func helloAndRun() throws {
        let agent = try AgentFixture()
        var hello = HelloRequest()
        hello.version = Agent.version
        #expect(try agent.client.call(Agent.hello, hello).version == Agent.version)
        let outcome = try agent.runContainer(shell: "echo out; echo err >&2; busybox id -u; exit 7")
        #expect(outcome.output == "out\n0\n")
        #expect(outcome.errors == "err\n")
        #expect(outcome.exit.exitStatus == 7)
    }
}

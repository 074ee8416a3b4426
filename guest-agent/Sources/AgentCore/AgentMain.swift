import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// What the executable does, by its first argument.
public enum AgentMain {
    public static func run() {
        let server = Server([Handler.on(Agent.hello) { _ in HelloResponse() }])
        server.serve(connection: FileDescriptor(0))
    }
}

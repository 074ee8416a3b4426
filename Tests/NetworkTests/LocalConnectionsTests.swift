import CSystem
import Glibc
import System
import Testing

@testable import Network

/// Why these tests do not run; nil where they do.
private let obstacle: String? = {
    guard let namespace = NetworkNamespace() else { return "this user may not make network namespaces" }
    do { try namespace.run { try LocalConnections { _, _ in }.stop() } } catch {
        return "the kernel does not let sockets be looked up by BPF: \(error)"
    }
    return nil
}()

@Suite(.enabled(if: obstacle == nil, "\(obstacle ?? "")"))
struct LocalConnectionsTests {
    private let namespace: NetworkNamespace

    init() throws {
        namespace = try #require(NetworkNamespace())
        // As every program of ours does first: a reader that has left is an error of a write, not a signal.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Connects with bash's /dev/tcp in the namespace and says what came back.
    private func ask(_ address: String, _ port: Int) throws -> String {
        try namespace.run {
            let (read, write) = try makePipe()
            let child = try ChildProcess.spawn(
                "/bin/bash", ["-c", "exec 2>/dev/null 3<>/dev/tcp/\(address)/\(port) && cat <&3"],
                descriptors: [0, write.raw, 2])
            write.close()
            let text = String(decoding: try read.readToEnd(limit: 4096), as: UTF8.self)
            return child.wait() == .exited(0) ? text : "refused"
        }
    }

    @Test(arguments: [
        ("127.0.0.1", 80), ("127.0.0.1", 65535), ("127.1.2.3", 1), ("::1", 80), ("10.1.2.3", 4711), ("fd00:1::3", 22),
    ])
    func everyPortOfEveryAddress(_ address: String, _ port: Int) throws {
        _ = try namespace.configure(
            "ip", "link set lo up\naddr add 10.1.2.3/32 dev lo\naddr add fd00:1::3/128 dev lo nodad")
        let connections = try namespace.run {
            try LocalConnections { connection, destination in
                try? connection.writeAll(Array("\(destination.address) \(destination.port)".utf8))
            }
        }
        #expect(try ask(address, port) == "\(address) \(port)")
        connections.stop()
        #expect(try ask(address, port) == "refused")
    }
}

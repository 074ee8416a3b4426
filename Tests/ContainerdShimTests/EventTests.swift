import ContainerdAPI
import Glibc
import Protobuf
import System
import TTRPC
import Testing

@testable import ContainerdShim

/// A containerd as far as events go.
private final class EventSink: Sendable {
    let received = Guarded<[ForwardRequest.Envelope]>([])
    private let listener: FileDescriptor
    private let connections = Guarded<[Int32]>([])

    init(_ path: String) throws {
        unlink(path)
        listener = try UnixSocket.listen(path)
        let server = Server([
            .on(EventsAPI.forward) { [received] request in
                if let envelope = request.envelope { received.withLock { $0.append(envelope) } }
                return Empty()
            }
        ])
        let listener = listener
        let connections = connections
        Thread.start("sink") {
            while let connection = try? UnixSocket.accept(listener) {
                connections.withLock { $0.append(connection.raw) }
                Thread.start("sink-connection") { server.serve(connection: connection) }
            }
        }
    }

    func topics(_ count: Int) -> [String] {
        received.wait(timeout: .seconds(20)) { $0.count >= count ? $0.map(\.topic) : nil } ?? []
    }

    /// As a kill would.
    func end() {
        _ = shutdown(listener.raw, Int32(SHUT_RDWR))
        for fd in connections.withLock({ $0 }) { _ = shutdown(fd, Int32(SHUT_RDWR)) }
    }
}

@Suite struct EventTests {
    /// As every program of ours does first: a reader that has left is an error of a write, not a signal.
    init() { signal(SIGPIPE, SIG_IGN) }

    private let path = "/tmp/cloister-events-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"

    private func publish(_ publisher: EventPublisher, _ ids: Range<Int>) {
        for id in ids {
            var event = TaskEvents.Start()
            event.containerID = "\(id)"
            publisher.publish(event)
        }
    }

    private func ids(_ envelopes: [ForwardRequest.Envelope]) throws -> [Int] {
        try envelopes.map { Int(try TaskEvents.Start(decoding: $0.event?.value ?? []).containerID) ?? -1 }
    }

    @Test func arriveInOrder() throws {
        let sink = try EventSink(path)
        defer { unlink(path) }
        let publisher = EventPublisher(address: path, namespace: "space", log: nil)
        publish(publisher, 0..<50)
        publisher.flush(timeout: .seconds(20))
        let envelopes = sink.received.withLock { $0 }
        #expect(try ids(envelopes) == Array(0..<50))
        #expect(envelopes.allSatisfy { $0.namespace == "space" && $0.topic == "/tasks/start" })
        #expect(envelopes.first?.event?.typeURL == "containerd.events.TaskStart")
    }

    @Test func waitForARestartedContainerd() throws {
        var sink = try EventSink(path)
        defer { unlink(path) }
        let publisher = EventPublisher(address: "unix://" + path, namespace: "space", log: nil)
        publish(publisher, 0..<3)
        #expect(sink.topics(3).count == 3)
        // Its last answer has arrived too: an event without one is sent again.
        publisher.flush(timeout: .seconds(20))
        sink.end()
        unlink(path)
        // Nobody is there, and nobody waits.
        publish(publisher, 3..<10)
        sink = try EventSink(path)
        #expect(sink.topics(7).count == 7)
        #expect(try ids(sink.received.withLock { $0 }) == Array(3..<10))
    }

    @Test func goNowhereWithoutAnAddress() {
        let publisher = EventPublisher(address: "", namespace: "", log: nil)
        publish(publisher, 0..<5)
        publisher.flush(timeout: .seconds(20))
    }
}

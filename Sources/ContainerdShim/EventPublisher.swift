import ContainerdAPI
import Glibc
import Protobuf
import System
import TTRPC

/// Hands events to containerd in the order they happened. Publishing never waits; a containerd that is away gets them when it
/// is back.
final class EventPublisher: Sendable {
    private struct State {
        var waiting: [ForwardRequest] = []
        var isSending = false
    }

    private let address: String
    private let namespace: String
    private let log: ShimLog?
    private let state = Guarded(State())
    /// Kept for a containerd that is away; the oldest go first.
    private static let mostWaiting = 4096
    private static let callTimeout = Duration.seconds(10)
    private static let pauses = (first: Duration.milliseconds(50), longest: Duration.seconds(2))

    /// - Parameter address: of containerd's ttrpc socket; with an empty one, events go nowhere.
    init(address: String, namespace: String, log: ShimLog?) {
        self.address = address.hasPrefix("unix://") ? String(address.dropFirst("unix://".count)) : address
        self.namespace = namespace
        self.log = log
        if !address.isEmpty { Thread.start("events") { self.run() } }
    }

    func publish<Event: TaskEvent>(_ event: Event) {
        guard !address.isEmpty else { return }
        var envelope = ForwardRequest.Envelope()
        envelope.timestamp = Timestamp(nanosecondsSinceEpoch: UInt64(Clock.realtime.nanoseconds))
        envelope.namespace = namespace
        envelope.topic = Event.topic
        envelope.event = AnyMessage(Event.typeURL, event)
        var request = ForwardRequest()
        request.envelope = envelope
        state.withLock { state in
            if state.waiting.count >= Self.mostWaiting { state.waiting.removeFirst() }
            state.waiting.append(request)
        }
    }

    /// Waits until containerd has taken everything, or the time is up.
    func flush(timeout: Duration) {
        guard !address.isEmpty else { return }
        _ = state.wait(timeout: timeout) { $0.waiting.isEmpty && !$0.isSending ? true : nil }
    }

    private func run() {
        var client: Client?
        while true {
            let next = state.wait { state -> ForwardRequest? in
                guard !state.waiting.isEmpty else { return nil }
                state.isSending = true
                return state.waiting.removeFirst()
            }
            guard let next else { continue }
            send(next, &client)
            state.withLock { $0.isSending = false }
        }
    }

    private func send(_ request: ForwardRequest, _ client: inout Client?) {
        var pause = Self.pauses.first
        while true {
            do throws(RPCError) {
                let connected: Client
                if let client { connected = client } else { connected = try connect() }
                client = connected
                _ = try connected.call(EventsAPI.forward, request, timeout: Self.callTimeout)
                return
            } catch {
                switch error.code {
                case .unavailable, .deadlineExceeded: break
                default:
                    // containerd does not want this one; the next may be another matter.
                    log?.error("containerd refuses the event \(request.envelope?.topic ?? ""): \(error)")
                    return
                }
            }
            client?.close()
            client = nil
            var time = pause.timespec
            nanosleep(&time, nil)
            pause = min(pause * 2, Self.pauses.longest)
        }
    }

    private func connect() throws(RPCError) -> Client {
        do { return Client(try UnixSocket.connect(address)) } catch { throw RPCError(.unavailable, "\(error)") }
    }
}

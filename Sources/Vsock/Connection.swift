import Glibc
import System

/// The guest's port and the host's: what tells connections apart, since the guest has one CID.
struct ConnectionKey: Hashable, Sendable {
    var guestPort: UInt32
    var hostPort: UInt32
}

/// One stream between the guest and two host descriptors. The device moves the bytes; this is what is known of it.
final class Connection {
    /// The way from the guest to the host.
    enum ToHost {
        /// The guest may send. Without an endpoint what it sends is thrown away.
        case open(Endpoint?)
        /// The guest sends no more; what is buffered is still on its way.
        case draining(Endpoint)
        /// Everything was handed to a pump, whose hang-up says that it has written it.
        case flushing(Endpoint)
        case ended
    }

    /// The way from the host to the guest.
    enum ToGuest {
        /// Nothing to read: epoll tells when there is.
        case waiting(Endpoint)
        /// There may be something to read, as soon as the guest has credit and buffers.
        case ready(Endpoint)
        case ended
    }

    /// Control packets the guest is owed, sent in this order, before any data.
    struct Owed: OptionSet {
        let rawValue: UInt8
        static let response = Owed(rawValue: 1)
        static let shutdown = Owed(rawValue: 2)
        static let creditUpdate = Owed(rawValue: 4)
    }

    let id: UInt64
    let key: ConnectionKey
    var credit: Credit
    var toHost: ToHost
    var toGuest: ToGuest
    var buffer: ByteRing
    var owed: Owed = [.response]
    /// What the guest said, and what this side said, will not happen any more.
    var guestShutdown: PacketHeader.Shutdown = []
    var ownShutdown: PacketHeader.Shutdown = []
    /// Whether the guest still knows the connection.
    var isOnWire = true
    /// Whether it stands in the device's list of connections with something to send.
    var isQueued = false
    /// Whether epoll knows the endpoints' descriptors.
    var outputIsWatched = false
    var inputIsWatched = false
    var reason = StreamEnds.Reason.finished
    private var onClosed: (@Sendable (StreamEnds.Reason) -> Void)?

    init(
        id: UInt64, key: ConnectionKey, credit: Credit, input: Endpoint?, output: Endpoint?,
        onClosed: (@Sendable (StreamEnds.Reason) -> Void)?
    ) {
        self.id = id
        self.key = key
        self.credit = credit
        toHost = .open(output)
        toGuest = input.map { .ready($0) } ?? .ended
        buffer = ByteRing(capacity: Int(credit.bufferInBytes))
        self.onClosed = onClosed
        if input == nil {
            ownShutdown = .send
            owed.insert(.shutdown)
        }
    }

    /// The first thing that went wrong is what is reported.
    func note(_ new: StreamEnds.Reason) {
        if reason == .finished { reason = new }
    }

    var outputEndpoint: Endpoint? {
        switch toHost {
        case .open(let endpoint): endpoint
        case .draining(let endpoint), .flushing(let endpoint): endpoint
        case .ended: nil
        }
    }

    var inputEndpoint: Endpoint? {
        switch toGuest {
        case .waiting(let endpoint), .ready(let endpoint): endpoint
        case .ended: nil
        }
    }

    var hasEnded: Bool {
        if case .ended = toHost, case .ended = toGuest { return true }
        return false
    }

    /// Whether there is something to put into a receive buffer of the guest's now.
    var hasSomethingToSend: Bool {
        guard isOnWire else { return false }
        if !owed.isEmpty { return true }
        if case .ready = toGuest { return credit.available > 0 }
        return false
    }

    /// Calls `onClosed` if both directions have ended and it was not called yet.
    func reportIfEnded() {
        guard hasEnded, let report = onClosed else { return }
        onClosed = nil
        report(reason)
    }
}

import Glibc
import System

/// The host's descriptors: waiting for them, and the ends of streams.
extension DeviceCore {
    /// EPOLLONESHOT: after one event the descriptor is silent until armed again, hang-ups included.
    private static var once: EventLoop.Events { .init(rawValue: 1 << 30) }

    // MARK: Output

    func watchOutput(_ connection: Connection, _ endpoint: Endpoint, hangup: Bool = false) {
        guard endpoint.canBeWatched else { return retryOutput(connection) }
        let events: EventLoop.Events = hangup ? [.readable, .readHangup] : [.writable]
        let id = connection.id
        let handle = handle
        do {
            if connection.outputIsWatched {
                try loop.modify(endpoint.raw, events.union(Self.once))
            } else {
                try loop.add(endpoint.raw, events.union(Self.once)) { _ in
                    handle.run { core in
                        guard let connection = core.connections[id] else { return }
                        core.outputIsReady(connection)
                        core.receive()
                    }
                }
                connection.outputIsWatched = true
            }
        } catch {
            outputFailed(connection, error.errno)
        }
    }

    /// A file took less than it was given (a full disk, a quota): ask it again for the reason.
    private func retryOutput(_ connection: Connection) {
        let id = connection.id
        let handle = handle
        loop.enqueue {
            handle.run { core in
                guard let connection = core.connections[id] else { return }
                core.outputIsReady(connection)
                core.receive()
            }
        }
    }

    private func outputIsReady(_ connection: Connection) {
        if case .flushing = connection.toHost {
            endToHost(connection)
            return settle(connection)
        }
        guard let endpoint = connection.outputEndpoint else { return }
        while !connection.buffer.isEmpty {
            switch connection.buffer.withVectors({ endpoint.write($0) }) {
            case .moved(let count):
                connection.buffer.drop(count)
                connection.credit.forward(UInt32(count))
            case .wouldBlock:
                noteSpace(connection)
                schedule(connection)
                return watchOutput(connection, endpoint)
            case .failed(let code):
                return outputFailed(connection, code)
            }
        }
        noteSpace(connection)
        if case .draining = connection.toHost { finishOutput(connection) }
        settle(connection)
        schedule(connection)
    }

    /// The guest sends no more: closes the output as soon as it has everything.
    func finishOutput(_ connection: Connection) {
        switch connection.toHost {
        case .open(nil): connection.toHost = .ended
        case .open(let endpoint?) where !connection.buffer.isEmpty: connection.toHost = .draining(endpoint)
        case .draining where !connection.buffer.isEmpty: break
        case .open(let endpoint?), .draining(let endpoint):
            if endpoint.isPump {
                endpoint.finish()
                connection.toHost = .flushing(endpoint)
                watchOutput(connection, endpoint, hangup: true)
            } else {
                endToHost(connection)
            }
        case .flushing, .ended: break
        }
    }

    /// Nobody reads any more: so that the guest's writer gets EPIPE instead of waiting for ever, it is told.
    func outputFailed(_ connection: Connection, _ code: Int32) {
        connection.note(.outputFailed(errno: code))
        connection.credit.forward(UInt32(connection.buffer.count))
        let guestMaySend = !connection.guestShutdown.contains(.send)
        endToHost(connection)
        if guestMaySend { owe(connection, shutdown: .receive) }
        settle(connection)
        schedule(connection)
    }

    /// The outputs of the connections to `port` are not waited for any more.
    func abandonOutput(port: UInt32) {
        for connection in connections.values where connection.key.hostPort == port && connection.outputEndpoint != nil {
            outputFailed(connection, ECANCELED)
        }
        receive()
    }

    /// Lets go of the output.
    func endToHost(_ connection: Connection) {
        if let endpoint = connection.outputEndpoint {
            if connection.outputIsWatched { loop.remove(endpoint.raw) }
            endpoint.finish()
        }
        connection.outputIsWatched = false
        connection.buffer.clear()
        connection.toHost = .ended
    }

    // MARK: Input

    func watchInput(_ connection: Connection, _ endpoint: Endpoint) {
        connection.toGuest = .waiting(endpoint)
        let id = connection.id
        let handle = handle
        let events = EventLoop.Events.readable.union(Self.once)
        do {
            if connection.inputIsWatched {
                try loop.modify(endpoint.raw, events)
            } else {
                try loop.add(endpoint.raw, events) { _ in
                    handle.run { core in
                        guard let connection = core.connections[id] else { return }
                        core.inputIsReady(connection)
                    }
                }
                connection.inputIsWatched = true
            }
        } catch {
            connection.note(.inputFailed(errno: error.errno))
            endToGuest(connection)
            owe(connection, shutdown: .send)
        }
    }

    private func inputIsReady(_ connection: Connection) {
        guard case .waiting(let endpoint) = connection.toGuest else { return }
        connection.toGuest = .ready(endpoint)
        schedule(connection)
        receive()
    }

    /// Lets go of the input.
    func endToGuest(_ connection: Connection) {
        if let endpoint = connection.inputEndpoint {
            if connection.inputIsWatched { loop.remove(endpoint.raw) }
            endpoint.finish()
        }
        connection.inputIsWatched = false
        connection.toGuest = .ended
    }

    // MARK: The end

    /// The guest does not know the connection any more.
    func takeOffWire(_ connection: Connection) {
        guard connection.isOnWire else { return }
        connection.isOnWire = false
        connection.owed = []
        byKey[connection.key] = nil
    }

    /// The guest's side is gone; what it had sent goes on to the host.
    func detach(_ connection: Connection, _ reason: StreamEnds.Reason) {
        // A reset after both directions ended is how a stream is closed, not a failure.
        if !connection.hasEnded { connection.note(reason) }
        takeOffWire(connection)
        endToGuest(connection)
        finishOutput(connection)
        settle(connection)
    }

    /// Reports the end of a connection once both directions have ended, and forgets it once the guest has, too.
    func settle(_ connection: Connection) {
        connection.reportIfEnded()
        if connection.hasEnded, !connection.isOnWire { connections[connection.id] = nil }
    }
}

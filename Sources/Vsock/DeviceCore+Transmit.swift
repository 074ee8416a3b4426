import Glibc
import System

/// From the guest to the host.
extension DeviceCore {
    /// Chains taken before other events get their turn.
    private static var chainsPerTurn: Int { 256 }
    /// Chains given back at once: few interrupts for the guest, and it never waits for a whole ring.
    private static var chainsPerPublish: Int { 32 }
    private static var maximumResets: Int { 256 }

    /// Whether the guest has left too much unread to be listened to. Resets, and connections that were closed before
    /// they got their turn, would otherwise fill this process at the guest's pleasure.
    var owesTooMuch: Bool {
        resets.count >= Self.maximumResets || sendQueue.count >= limits.connections + Self.maximumResets
    }

    func transmit() {
        guard transmitQueue.isRunning, !transmitIsScheduled else { return }
        do throws(RingError) {
            var left = Self.chainsPerTurn
            transmitQueue.suppressKicks()
            repeat {
                while left > 0, !owesTooMuch,
                    try transmitQueue.pop(into: transmitChain, memory)
                {
                    left -= 1
                    handlePacket(transmitChain)
                    // Handling a packet may have stopped the device.
                    guard transmitQueue.isRunning else { return }
                    transmitQueue.push(transmitChain.head, length: 0)
                    if transmitQueue.unpublished >= Self.chainsPerPublish { transmitQueue.publish() }
                }
                transmitQueue.publish()
                // `receive` comes back here when the guest has made room.
                if owesTooMuch { return }
                if left == 0 {
                    transmitIsScheduled = true
                    let handle = handle
                    loop.enqueue {
                        handle.run { core in
                            core.transmitIsScheduled = false
                            core.transmit()
                            core.receive()
                        }
                    }
                    return
                }
            } while try transmitQueue.requestKick()
        } catch {
            breakDevice("\(error)")
        }
    }

    /// One packet of the guest's. What Linux's own device ignores is ignored here.
    private func handlePacket(_ chain: DescriptorChain) {
        guard chain.readableBytes >= PacketHeader.sizeInBytes else { return }
        let header = withUnsafeTemporaryAllocation(byteCount: PacketHeader.sizeInBytes, alignment: 8) { bytes in
            chain.copyReadable(to: bytes)
            return PacketHeader(UnsafeRawBufferPointer(bytes))
        }
        guard header.sourceCID == guestCID, header.destinationCID == PacketHeader.hostCID else { return }
        guard header.type == PacketHeader.streamType else { return reset(replyingTo: header) }
        let key = ConnectionKey(guestPort: header.sourcePort, hostPort: header.destinationPort)
        let operation = PacketHeader.Operation(rawValue: header.operation)
        guard let connection = byKey[key] else {
            switch operation {
            case .request: open(key, header)
            case .reset: break
            default: reset(replyingTo: header)
            }
            return
        }
        connection.credit.update(peerBufferInBytes: header.bufferInBytes, peerForwarded: header.forwarded)
        switch operation {
        case .data:
            guard Int(header.length) <= chain.readableBytes - PacketHeader.sizeInBytes,
                header.length <= PacketHeader.maximumPayloadInBytes
            else { return violate(connection) }
            takeData(connection, chain, Int(header.length))
        case .creditRequest: connection.owed.insert(.creditUpdate)
        case .creditUpdate: break
        case .shutdown: guestShutDown(connection, .init(rawValue: header.flags & 3))
        case .reset: detach(connection, .resetByGuest)
        // A second request, an answer nobody asked for, an unknown operation: ignored, as by Linux.
        case .request, .response, nil: break
        }
        schedule(connection)
    }

    private func open(_ key: ConnectionKey, _ header: PacketHeader) {
        guard byKey.count < limits.connections, connections.count < 2 * limits.connections,
            let ends = listeners.accept(for: key.hostPort)?(key.guestPort)
        else { return reset(replyingTo: header) }
        let input: Endpoint?
        let output: Endpoint?
        do {
            input = try ends.input.map { descriptor throws(SystemError) in
                try Endpoint.open(descriptor, .input, shutsDown: ends.shutsDownSockets)
            }
            output = try ends.output.map { descriptor throws(SystemError) in
                try Endpoint.open(descriptor, .output, shutsDown: ends.shutsDownSockets)
            }
        } catch {
            log("vsock: a stream cannot be served: \(error)")
            ends.onClosed?(.outputFailed(errno: error.errno))
            return reset(replyingTo: header)
        }
        let connection = Connection(
            id: nextID, key: key, credit: Credit(bufferInBytes: limits.bufferInBytes), input: input, output: output,
            onClosed: ends.onClosed)
        nextID += 1
        connection.credit.update(peerBufferInBytes: header.bufferInBytes, peerForwarded: header.forwarded)
        connections[connection.id] = connection
        byKey[key] = connection
        schedule(connection)
    }

    private func takeData(_ connection: Connection, _ chain: DescriptorChain, _ length: Int) {
        guard length > 0 else { return }
        guard connection.credit.receive(UInt32(length)) else { return violate(connection) }
        guard !connection.guestShutdown.contains(.send) else { return violate(connection) }
        guard case .open(let endpoint?) = connection.toHost else {
            // Nobody wants it.
            connection.credit.forward(UInt32(length))
            return noteSpace(connection)
        }
        let payload = chain.readable(from: PacketHeader.sizeInBytes, length: length)
        var written = 0
        if connection.buffer.isEmpty {
            switch endpoint.write(payload) {
            case .moved(let count): written = count
            case .wouldBlock: break
            case .failed(let code):
                connection.credit.forward(UInt32(length))
                return outputFailed(connection, code)
            }
            connection.credit.forward(UInt32(written))
        }
        if written < length {
            guard connection.buffer.append(payload, skip: written, length: length - written) else {
                return violate(connection)
            }
            watchOutput(connection, endpoint)
        }
        noteSpace(connection)
    }

    /// Tells the guest about room in the buffer, when it is time to.
    func noteSpace(_ connection: Connection) {
        if connection.credit.needsAnnouncement { connection.owed.insert(.creditUpdate) }
    }

    private func guestShutDown(_ connection: Connection, _ flags: PacketHeader.Shutdown) {
        connection.guestShutdown.formUnion(flags)
        if connection.guestShutdown.contains(.send) { finishOutput(connection) }
        if connection.guestShutdown.contains(.receive) { endToGuest(connection) }
        // The guest closed its socket and waits for this answer to forget about it.
        if connection.guestShutdown == .both {
            reset(connection)
            takeOffWire(connection)
        }
        settle(connection)
    }

    private func violate(_ connection: Connection) {
        reset(connection)
        detach(connection, .protocolViolation)
    }

    /// Owes the guest a reset of a connection it knows.
    func reset(_ connection: Connection) {
        guard connection.isOnWire else { return }
        var header = PacketHeader()
        header.destinationPort = connection.key.guestPort
        header.sourcePort = connection.key.hostPort
        queueReset(header)
    }

    /// Owes the guest a reset in answer to a packet that belongs to no connection. A reset is never answered.
    private func reset(replyingTo packet: PacketHeader) {
        guard packet.operation != PacketHeader.Operation.reset.rawValue else { return }
        var header = PacketHeader()
        header.destinationPort = packet.sourcePort
        header.sourcePort = packet.destinationPort
        header.type = packet.type
        queueReset(header)
    }

    private func queueReset(_ packet: PacketHeader) {
        var header = packet
        header.sourceCID = PacketHeader.hostCID
        header.destinationCID = guestCID
        header.operation = PacketHeader.Operation.reset.rawValue
        resets.append(header)
    }
}

import Glibc
import System

/// From the host to the guest.
extension DeviceCore {
    private static var packetsPerTurn: Int { 256 }
    /// Packets of one connection before the next one's turn.
    private static var packetsPerConnection: Int { 32 }
    private static var packetsPerPublish: Int { 32 }

    private enum Step {
        case sent
        /// The connection has nothing more for now.
        case idle
        /// The guest has no buffer.
        case starved
    }

    /// Puts a connection on the list of those with something to send, if it has.
    func schedule(_ connection: Connection) {
        guard !connection.isQueued, connection.hasSomethingToSend else { return }
        connection.isQueued = true
        sendQueue.append(connection)
    }

    /// Fills the guest's receive buffers with what there is.
    func receive() {
        guard receiveQueue.isRunning, !receiveIsScheduled, !(sendQueue.isEmpty && resets.isEmpty) else { return }
        let hadToWait = owesTooMuch
        do throws(RingError) {
            var left = Self.packetsPerTurn
            receiveQueue.suppressKicks()
            while try fill(&left) {
                guard receiveQueue.isRunning else { return }
                // The guest is asked for a notification only when it has to provide buffers.
                guard try receiveQueue.requestKick() else { break }
                receiveQueue.suppressKicks()
            }
            receiveQueue.publish()
            if left == 0 { receiveSoon() }
        } catch {
            return breakDevice("\(error)")
        }
        if hadToWait, !owesTooMuch {
            transmit()
            // What that gave the guest to hear about.
            receiveSoon()
        }
    }

    /// Goes on after other events had their turn.
    private func receiveSoon() {
        guard !receiveIsScheduled, !(sendQueue.isEmpty && resets.isEmpty) else { return }
        receiveIsScheduled = true
        let handle = handle
        loop.enqueue {
            handle.run { core in
                core.receiveIsScheduled = false
                core.receive()
            }
        }
    }

    /// - Returns: whether it ended for want of buffers.
    private func fill(_ left: inout Int) throws(RingError) -> Bool {
        while left > 0 {
            if !resets.isEmpty {
                guard try receiveQueue.pop(into: receiveChain, memory) else { return true }
                guard let header = resets.popFirst() else { continue }
                try put(header, payload: 0)
                left -= 1
                continue
            }
            guard let connection = sendQueue.popFirst() else { return false }
            connection.isQueued = false
            for _ in 0..<Self.packetsPerConnection {
                let step = try sendOne(connection)
                if step == .starved {
                    schedule(connection)
                    return true
                }
                if step == .idle { break }
                left -= 1
                if receiveQueue.unpublished >= Self.packetsPerPublish { receiveQueue.publish() }
                if left <= 0 { break }
            }
            left = max(left, 0)
            schedule(connection)
            settle(connection)
        }
        return false
    }

    private func sendOne(_ connection: Connection) throws(RingError) -> Step {
        guard connection.hasSomethingToSend else { return .idle }
        guard try receiveQueue.pop(into: receiveChain, memory) else { return .starved }
        if !connection.owed.isEmpty {
            try sendControl(connection)
            return .sent
        }
        guard case .ready(let endpoint) = connection.toGuest else {
            receiveQueue.putBack()
            return .idle
        }
        let room = receiveChain.writableBytes - PacketHeader.sizeInBytes
        guard room > 0 else { throw .shortBuffer }
        let length = min(room, Int(connection.credit.available), Int(PacketHeader.maximumPayloadInBytes))
        switch endpoint.read(into: receiveChain.writable(from: PacketHeader.sizeInBytes, length: length)) {
        case .moved(let count) where count > 0:
            connection.credit.send(UInt32(count))
            try put(header(connection, .data, length: UInt32(count)), payload: count)
            return .sent
        case .moved:
            receiveQueue.putBack()
            endToGuest(connection)
            owe(connection, shutdown: .send)
            return try sendOne(connection)
        case .wouldBlock:
            receiveQueue.putBack()
            watchInput(connection, endpoint)
            return .idle
        case .failed(let code):
            receiveQueue.putBack()
            connection.note(.inputFailed(errno: code))
            endToGuest(connection)
            owe(connection, shutdown: .send)
            return try sendOne(connection)
        }
    }

    /// Owes the guest word of what this side will not do any more.
    func owe(_ connection: Connection, shutdown flags: PacketHeader.Shutdown) {
        connection.ownShutdown.formUnion(flags)
        connection.owed.insert(.shutdown)
    }

    private func sendControl(_ connection: Connection) throws(RingError) {
        if connection.owed.contains(.response) {
            connection.owed.remove(.response)
            try put(header(connection, .response), payload: 0)
        } else if connection.owed.contains(.shutdown) {
            connection.owed.remove(.shutdown)
            var packet = header(connection, .shutdown)
            packet.flags = connection.ownShutdown.rawValue
            try put(packet, payload: 0)
        } else {
            try put(header(connection, .creditUpdate), payload: 0)
        }
        // Every header carries the counters.
        connection.owed.remove(.creditUpdate)
    }

    private func header(
        _ connection: Connection, _ operation: PacketHeader.Operation, length: UInt32 = 0
    ) -> PacketHeader {
        var header = PacketHeader()
        header.sourceCID = PacketHeader.hostCID
        header.destinationCID = guestCID
        header.sourcePort = connection.key.hostPort
        header.destinationPort = connection.key.guestPort
        header.length = length
        header.operation = operation.rawValue
        header.bufferInBytes = connection.credit.bufferInBytes
        header.forwarded = connection.credit.announce()
        return header
    }

    /// Writes the header into the chain taken last and gives it to the guest.
    private func put(_ header: PacketHeader, payload: Int) throws(RingError) {
        guard receiveChain.writableBytes >= PacketHeader.sizeInBytes else { throw .shortBuffer }
        withUnsafeTemporaryAllocation(byteCount: PacketHeader.sizeInBytes, alignment: 8) { bytes in
            header.write(to: bytes)
            receiveChain.copyToWritable(UnsafeRawBufferPointer(bytes))
        }
        receiveQueue.push(receiveChain.head, length: UInt32(PacketHeader.sizeInBytes + payload))
    }
}

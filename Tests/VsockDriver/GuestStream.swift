import Vsock

/// One stream as the guest sees it: counts credit in both directions and keeps what arrived.
package struct GuestStream {
    package let driver: GuestDriver
    package let port: UInt32
    package let hostPort: UInt32
    /// What the guest offers to hold.
    package var bufferInBytes: UInt32
    package var forwarded: UInt32 = 0
    package var sent: UInt32 = 0
    package var peerBufferInBytes: UInt32 = 0
    package var peerForwarded: UInt32 = 0
    package var received: [UInt8] = []
    package var operations: [PacketHeader.Operation] = []
    package var peerShutdown: PacketHeader.Shutdown = []
    package var wasReset = false

    package init(_ driver: GuestDriver, port: UInt32, hostPort: UInt32, bufferInBytes: UInt32 = 256 << 10) {
        self.driver = driver
        self.port = port
        self.hostPort = hostPort
        self.bufferInBytes = bufferInBytes
    }

    package func header(_ operation: PacketHeader.Operation, flags: UInt32 = 0) -> PacketHeader {
        var header = PacketHeader()
        header.sourceCID = 3
        header.destinationCID = PacketHeader.hostCID
        header.sourcePort = port
        header.destinationPort = hostPort
        header.operation = operation.rawValue
        header.flags = flags
        header.bufferInBytes = bufferInBytes
        header.forwarded = forwarded
        return header
    }

    package func send(_ operation: PacketHeader.Operation, flags: UInt32 = 0) throws {
        try driver.send(header(operation, flags: flags))
    }

    package var credit: UInt32 { peerBufferInBytes &- (sent &- peerForwarded) }

    /// Takes one packet of the device's. - Returns: the operation.
    @discardableResult
    package mutating func take() throws -> PacketHeader.Operation? {
        let (header, payload) = try driver.next()
        return absorb(header, payload)
    }

    @discardableResult
    package mutating func absorb(_ header: PacketHeader, _ payload: [UInt8]) -> PacketHeader.Operation? {
        guard header.destinationPort == port, header.sourcePort == hostPort else { return nil }
        let operation = PacketHeader.Operation(rawValue: header.operation)
        if let operation { operations.append(operation) }
        switch operation {
        case .reset: wasReset = true
        case .shutdown: peerShutdown.formUnion(.init(rawValue: header.flags))
        default: break
        }
        if operation != .reset {
            peerBufferInBytes = header.bufferInBytes
            peerForwarded = header.forwarded
        }
        received += payload
        return operation
    }

    package mutating func connect() throws {
        try send(.request)
        while operations.isEmpty { try take() }
    }

    /// Sends one piece; waits for credit.
    package mutating func write(_ bytes: [UInt8]) throws {
        while credit < UInt32(bytes.count) {
            if wasReset { return }
            try take()
        }
        try driver.send(header(.data), bytes)
        sent &+= UInt32(bytes.count)
    }

    /// Says that what arrived was read.
    package mutating func grantCredit() throws {
        forwarded = UInt32(truncatingIfNeeded: received.count)
        try send(.creditUpdate)
    }
}

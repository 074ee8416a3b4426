import CVsock
import CVsockDriver
import Glibc
import System
import Vsock

/// A guest's vsock driver in this process: sets the device up, posts receive buffers, sends and receives packets. The
/// rings are open to be spoiled.
package final class GuestDriver {
    package static let receive = 0
    package static let transmit = 1
    package static let queueSize = 128
    package static let receiveBufferInBytes = 4096
    private static let slotInBytes = (64 << 10) + 64
    private static let receiveArea = 1 << 20
    private static let transmitArea = 2 << 20

    package enum Bit {
        package static let indirect: UInt64 = 1 << 28
        package static let eventIndex: UInt64 = 1 << 29
        package static let protocolFeatures: UInt64 = 1 << 30
        package static let version1: UInt64 = 1 << 32
    }

    package let frontEnd: FrontEnd
    package let memory: SharedMemory
    package var rings = [Ring(size: queueSize, at: 0x1_0000), Ring(size: queueSize, at: 0x2_0000)]
    package let kicks: [FileDescriptor]
    package let calls: [FileDescriptor]
    private let features: UInt64
    private var freeSlots: [Int] = []

    /// Connects and sets the device up, as QEMU does when the guest's driver is ready.
    package init(
        socketPath: String, features: UInt64 = Bit.version1 | Bit.protocolFeatures | Bit.indirect | Bit.eventIndex
    ) throws {
        frontEnd = try FrontEnd(socketPath: socketPath)
        memory = try SharedMemory(sizeInBytes: 8 << 20)
        self.features = features
        func event() throws -> FileDescriptor { FileDescriptor(try syscall("eventfd") { cv_event() }) }
        kicks = [try event(), try event()]
        calls = [try event(), try event()]
        _ = try frontEnd.ask(1)
        try frontEnd.send(3, [])
        if features & Bit.protocolFeatures != 0 {
            _ = try frontEnd.ask(15)
            try frontEnd.send(16, FrontEnd.bytes(UInt64(1 << 3 | 1 << 9 | 1 << 15)))
        }
        try frontEnd.send(2, FrontEnd.bytes(features))
        try shareMemory()
        try startRings()
    }

    package func shareMemory() throws {
        let table = FrontEnd.table([FrontEnd.region(guest: 0, size: UInt64(memory.sizeInBytes))])
        try frontEnd.send(5, table, fds: [memory.file.raw])
    }

    /// Clears the rings and starts them, as after a reset of the guest.
    package func startRings(base: UInt16 = 0) throws {
        memset(memory.base + 0x1_0000, 0, 0x2_0000)
        freeSlots = Array(0..<Self.queueSize / 2)
        for index in 0..<2 {
            rings[index].nextAvailable = base
            rings[index].nextUsed = base
            memory.store(base, at: rings[index].available + 2)
            memory.store(base, at: rings[index].used + 2)
        }
        for slot in 0..<Self.queueSize { post(slot) }
        for index in 0..<2 { try startRing(index, base: base) }
    }

    package func startRing(_ index: Int, base: UInt16) throws {
        let number = UInt32(index)
        try frontEnd.send(8, FrontEnd.pair(number, UInt32(Self.queueSize)))
        try frontEnd.send(10, FrontEnd.pair(number, UInt32(base)))
        try frontEnd.send(9, FrontEnd.addresses(number, rings[index]))
        try frontEnd.send(12, FrontEnd.bytes(UInt64(index)), fds: [kicks[index].raw])
        try frontEnd.send(13, FrontEnd.bytes(UInt64(index)), fds: [calls[index].raw])
        if features & Bit.protocolFeatures != 0 { try frontEnd.send(18, FrontEnd.pair(number, 1)) }
    }

    /// - Returns: the index the device reports.
    package func stopRing(_ index: Int) throws -> UInt16 {
        let answer = try frontEnd.ask(11, FrontEnd.pair(UInt32(index), 0))
        return answer.count >= 8 ? UInt16(answer[4]) | UInt16(answer[5]) << 8 : 0
    }

    // MARK: Raw rings

    package func descriptor(
        _ queue: Int, _ index: Int, address: UInt64, length: UInt32, flags: UInt16, next: UInt16 = 0
    ) {
        let at = rings[queue].descriptors + 16 * index
        Self.write(memory, at, address, length, flags, next)
    }

    package static func write(
        _ memory: SharedMemory, _ at: Int, _ address: UInt64, _ length: UInt32, _ flags: UInt16, _ next: UInt16
    ) {
        memory.store(address, at: at)
        memory.store(length, at: at + 8)
        memory.store(flags, at: at + 12)
        memory.store(next, at: at + 14)
    }

    package func makeAvailable(_ queue: Int, _ head: UInt16) {
        memory.store(head, at: rings[queue].available + 4 + 2 * (Int(rings[queue].nextAvailable) % Self.queueSize))
        rings[queue].nextAvailable &+= 1
        cv_store16(memory.base + rings[queue].available + 2, rings[queue].nextAvailable)
    }

    package func setAvailableIndex(_ queue: Int, _ index: UInt16) {
        cv_store16(memory.base + rings[queue].available + 2, index)
    }

    package func kick(_ queue: Int) {
        var one: UInt64 = 1
        _ = Glibc.write(kicks[queue].raw, &one, 8)
    }

    /// The chains the device gave back: head and written length.
    package func takeUsed(_ queue: Int) -> [(head: Int, length: Int)] {
        var result: [(Int, Int)] = []
        let index = cv_load16(memory.base + rings[queue].used + 2)
        while rings[queue].nextUsed != index && result.count <= Self.queueSize {
            let at = rings[queue].used + 4 + 8 * (Int(rings[queue].nextUsed) % Self.queueSize)
            result.append((Int(memory.load(UInt32.self, at: at)), Int(memory.load(UInt32.self, at: at + 4))))
            rings[queue].nextUsed &+= 1
        }
        // An interrupt for each batch: `used_event`, which must be there before the next look at the index.
        memory.store(rings[queue].nextUsed, at: rings[queue].available + 4 + 2 * Self.queueSize)
        cv_fence()
        return result
    }

    // MARK: Packets

    package func post(_ slot: Int) {
        descriptor(
            Self.receive, slot, address: UInt64(Self.receiveArea + slot * Self.receiveBufferInBytes),
            length: UInt32(Self.receiveBufferInBytes), flags: 2)
        makeAvailable(Self.receive, UInt16(slot))
    }

    /// Sends one packet; waits for the device to give an earlier one back where the ring is full.
    /// - Parameter length: what the header says; the payload's size unless a lie is wanted.
    package func send(_ header: PacketHeader, _ payload: [UInt8] = [], length: UInt32? = nil, notify: Bool = true)
        throws
    {
        try waitForSlot()
        let slot = freeSlots.removeLast()
        let at = Self.transmitArea + slot * Self.slotInBytes
        var header = header
        header.length = length ?? UInt32(payload.count)
        header.write(to: UnsafeMutableRawBufferPointer(start: memory.base + at, count: PacketHeader.sizeInBytes))
        if !payload.isEmpty { memory.store(payload, at: at + 64) }
        let first = UInt16(2 * slot)
        let more: UInt16 = payload.isEmpty ? 0 : 1
        descriptor(Self.transmit, 2 * slot, address: UInt64(at), length: 44, flags: more, next: first + 1)
        if !payload.isEmpty {
            descriptor(
                Self.transmit, 2 * slot + 1, address: UInt64(at + 64), length: UInt32(payload.count), flags: 0)
        }
        makeAvailable(Self.transmit, first)
        if notify { kick(Self.transmit) }
    }

    /// Whether a packet can be sent without waiting.
    package func canSend() -> Bool {
        reclaim()
        return !freeSlots.isEmpty
    }

    private func reclaim() {
        for (head, _) in takeUsed(Self.transmit) where head % 2 == 0 && head < Self.queueSize {
            freeSlots.append(head / 2)
        }
    }

    private func waitForSlot() throws {
        while true {
            reclaim()
            if !freeSlots.isEmpty { return }
            kick(Self.transmit)
            try wait(Self.transmit)
        }
    }

    /// - Throws: `FrontEnd.Silence` when the device does not interrupt.
    private func wait(_ queue: Int, timeoutInMilliseconds: Int32 = 10_000) throws {
        var polled = pollfd(fd: calls[queue].raw, events: Int16(POLLIN), revents: 0)
        if cv_load16(memory.base + rings[queue].used + 2) != rings[queue].nextUsed { return }
        if poll(&polled, 1, timeoutInMilliseconds) == 0 { throw FrontEnd.Silence() }
        var value: UInt64 = 0
        _ = Glibc.read(calls[queue].raw, &value, 8)
    }

    private var arrived: [(PacketHeader, [UInt8])] = []

    /// The next packet for the guest. - Throws: `FrontEnd.Silence` when none comes.
    package func next(timeoutInMilliseconds: Int32 = 10_000) throws -> (header: PacketHeader, payload: [UInt8]) {
        while arrived.isEmpty {
            collect()
            if arrived.isEmpty { try wait(Self.receive, timeoutInMilliseconds: timeoutInMilliseconds) }
        }
        return arrived.removeFirst()
    }

    /// Takes what the device put into receive buffers, and posts them again.
    private func collect() {
        let used = takeUsed(Self.receive)
        for (head, length) in used where head < Self.queueSize && length >= PacketHeader.sizeInBytes {
            let at = Self.receiveArea + head * Self.receiveBufferInBytes
            let header = PacketHeader(UnsafeRawBufferPointer(start: memory.base + at, count: PacketHeader.sizeInBytes))
            let payload = memory.bytes(at: at + PacketHeader.sizeInBytes, count: length - PacketHeader.sizeInBytes)
            arrived.append((header, payload))
            post(head)
        }
        if !used.isEmpty { kick(Self.receive) }
    }

    /// Whether the device has put nothing new for the guest, after everything before was handled.
    package func isQuiet() throws -> Bool {
        try frontEnd.synchronize()
        collect()
        return arrived.isEmpty
    }
}

import Glibc
import System
import Vsock
import VsockDriver

/// An input, read as a list of steps against one device: what a guest's driver does and what it must not do. Every byte
/// string is a program, so that any change to one is another.
struct Program {
    private var bytes: ArraySlice<UInt8>
    private let driver: GuestDriver

    init(_ bytes: [UInt8], _ driver: GuestDriver) {
        self.bytes = bytes[...]
        self.driver = driver
    }

    private mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }
    private mutating func half() -> UInt16 { UInt16(byte()) | UInt16(byte()) << 8 }
    private mutating func word() -> UInt32 { UInt32(half()) | UInt32(half()) << 16 }

    /// Addresses around what matters: inside, at the edges, beyond.
    private mutating func address() -> UInt64 {
        let size = UInt64(driver.memory.sizeInBytes)
        let offset = UInt64(half())
        switch byte() % 8 {
        case 0...3: return (offset * 128) % size
        case 4: return size - (offset & 0xFF)
        case 5: return size + offset
        case 6: return 0 &- offset
        default: return offset << 48
        }
    }

    private mutating func length() -> UInt32 {
        let value = UInt32(half())
        switch byte() % 6 {
        case 0, 1: return value & 0xFF
        case 2: return value
        case 3: return value << 8
        case 4: return .max - value
        default: return (value & 0x3F) * 16
        }
    }

    /// Runs to the end, or until the device gives up on this front end.
    /// - Throws: `FrontEnd.Silence` when the device hangs: that is a finding. `FrontEnd.Closed` is not.
    mutating func run() throws {
        while !bytes.isEmpty { try step() }
        try driver.frontEnd.synchronize()
    }

    private mutating func step() throws {
        switch byte() % 16 {
        case 0:
            let queue = Int(byte() % 2)
            driver.descriptor(
                queue, Int(byte()) % GuestDriver.queueSize, address: address(), length: length(),
                flags: UInt16(byte() & 7), next: UInt16(byte()))
        case 1: driver.makeAvailable(Int(byte() % 2), UInt16(byte()))
        case 2: driver.setAvailableIndex(Int(byte() % 2), half())
        case 3: driver.kick(Int(byte() % 2))
        case 4...7: try sendPacket()
        case 8: driver.memory.store(word(), at: Int(half()) * 4 + 0x1_0000)
        case 9:
            // Rarely: most of these end the connection, and with it everything the input has built up.
            guard byte() % 8 == 0 else { return }
            let count = Int(byte() % 64)
            let payload = (0..<count).map { _ in byte() }
            let fds = byte() % 4 == 0 ? [driver.memory.file.raw] : []
            try driver.frontEnd.send(UInt32(byte() % 42), payload, fds: fds)
        case 10:
            for index in 0..<2 { _ = try driver.stopRing(index) }
            try driver.startRings(base: byte() % 4 == 0 ? half() : 0)
        case 11: try driver.frontEnd.synchronize()
        case 12:
            let region = FrontEnd.region(
                guest: address() & ~0xFFF, size: UInt64(length()) & ~0xFFF, user: address() & ~0xFFF,
                offset: UInt64(byte()) << 12)
            try driver.frontEnd.send(37, FrontEnd.bytes(UInt64(0)) + region, fds: [driver.memory.file.raw])
        case 13:
            // An indirect table of one or two entries.
            let table = 0x4_0000 + Int(byte()) * 32
            for entry in 0..<2 {
                GuestDriver.write(
                    driver.memory, table + 16 * entry, address(), length(), UInt16(byte() & 7), UInt16(byte() & 3))
            }
            let queue = Int(byte() % 2)
            let head = UInt16(byte() & 127)
            driver.descriptor(queue, Int(head), address: UInt64(table), length: 16 + 16 * UInt32(byte() & 1), flags: 4)
            driver.makeAvailable(queue, head)
        case 14:
            for _ in 0..<32 where try !driver.isQuiet() { _ = try driver.next() }
        default: driver.post(Int(byte()) % GuestDriver.queueSize)
        }
    }

    /// A packet that is well-formed on the ring, and nearly so inside.
    private mutating func sendPacket() throws {
        var header = PacketHeader()
        header.sourceCID = byte() == 0 ? UInt64(byte()) : 3
        header.destinationCID = byte() == 0 ? UInt64(byte()) : 2
        header.sourcePort = UInt32(byte() % 8)
        header.destinationPort = UInt32(byte() % 8)
        header.type = byte() == 0 ? half() : 1
        header.operation = UInt16(byte() % 9)
        header.flags = UInt32(byte() % 5)
        header.bufferInBytes = length()
        header.forwarded = length()
        let payload = header.operation == 5 ? [UInt8](repeating: byte(), count: Int(half())) : []
        let lie: UInt32? = byte() % 16 == 0 ? length() : nil
        // A ring that no longer moves is no finding: the steps before may have broken it.
        guard driver.canSend() else { return }
        try driver.send(header, payload, length: lie)
    }
}

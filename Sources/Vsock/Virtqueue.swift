import CVsock
import Glibc
import System

/// A guest's ring that cannot be followed. The device is of no use after it until the guest resets it.
enum RingError: Error, Equatable, CustomStringConvertible {
    case unmapped, unaligned
    case badSize(UInt32)
    case indexJump, badHead, badNext, loop, outOfMemory, tooLong
    case nestedIndirect, badIndirect, readableAfterWritable, shortBuffer

    var description: String {
        switch self {
        case .unmapped: "a ring lies outside of the guest's memory"
        case .unaligned: "a ring is not aligned"
        case .badSize(let size): "a ring of \(size) entries is not possible"
        case .indexJump: "the available index ran ahead of the ring"
        case .badHead: "an available entry names a descriptor beyond the table"
        case .badNext: "a descriptor's successor lies beyond the table"
        case .loop: "a descriptor chain is longer than its table"
        case .outOfMemory: "a buffer lies outside of the guest's memory"
        case .tooLong: "a descriptor chain is too long"
        case .nestedIndirect: "an indirect descriptor is where none may be"
        case .badIndirect: "an indirect table has an impossible size"
        case .readableAfterWritable: "a readable buffer follows a writable one"
        case .shortBuffer: "a buffer is too short for a packet's header"
        }
    }
}

/// One split virtqueue, the device's side of it (virtio 1.2, section 2.7).
final class Virtqueue {
    static let maximumSize: UInt32 = 1024

    /// What the front end set up; kept so that the ring can be found again after the memory was mapped anew.
    var addresses: VhostUser.VringAddresses?
    private(set) var size: UInt16 = 0
    var kick: FileDescriptor?
    var call: FileDescriptor?
    var isEnabled = false
    private(set) var usesEventIndex = false
    private(set) var allowsIndirect = false

    private var descriptors = nowhere()
    private var available = nowhere()
    private var used = nowhere()
    private(set) var isRunning = false
    /// The next available entry to take: what GET_VRING_BASE reports and SET_VRING_BASE sets.
    private(set) var nextAvailable: UInt16 = 0
    private var knownAvailable: UInt16 = 0
    private var nextUsed: UInt16 = 0
    private var publishedUsed: UInt16 = 0

    private static let nextFlag: UInt16 = 1
    private static let writeFlag: UInt16 = 2
    private static let indirectFlag: UInt16 = 4

    /// - Throws: `RingError.badSize` unless it is a power of two and at most `maximumSize`.
    func setSize(_ count: UInt32) throws(RingError) {
        guard count > 0, count <= Self.maximumSize, count & (count - 1) == 0 else { throw .badSize(count) }
        size = UInt16(count)
    }

    func setBase(_ index: UInt16) { nextAvailable = index }

    /// Finds the rings in memory; called to start and whenever memory was mapped anew. - Throws: `RingError`.
    func locate(in memory: borrowing GuestMemory) throws(RingError) {
        guard let addresses else { throw .unmapped }
        guard size > 0 else { throw .badSize(0) }
        let count = UInt64(size)
        guard addresses.descriptors % 16 == 0, addresses.available % 2 == 0, addresses.used % 4 == 0 else {
            throw .unaligned
        }
        guard let descriptors = memory.pointer(atUserAddress: addresses.descriptors, length: 16 * count),
            let available = memory.pointer(atUserAddress: addresses.available, length: 6 + 2 * count),
            let used = memory.pointer(atUserAddress: addresses.used, length: 6 + 8 * count)
        else { throw .unmapped }
        self.descriptors = descriptors
        self.available = available
        self.used = used
    }

    /// - Throws: `RingError` when the rings cannot be found.
    func start(in memory: borrowing GuestMemory, features: VhostUser.Features) throws(RingError) {
        try locate(in: memory)
        usesEventIndex = features.contains(.eventIndex)
        allowsIndirect = features.contains(.indirectDescriptors)
        nextUsed = cv_load16(used + 2)
        publishedUsed = nextUsed
        knownAvailable = nextAvailable
        isRunning = true
    }

    func stop() {
        isRunning = false
    }

    // MARK: Taking

    /// Takes the next chain. - Returns: false when there is none. - Throws: `RingError`.
    func pop(into chain: DescriptorChain, _ memory: borrowing GuestMemory) throws(RingError) -> Bool {
        guard try hasAvailable() else { return false }
        let slot = Int(nextAvailable & (size - 1))
        let head = cv_load16(available + 4 + 2 * slot)
        guard head < size else { throw .badHead }
        try walk(head, into: chain, memory)
        nextAvailable &+= 1
        return true
    }

    /// Gives the chain that `pop` took last back, unused.
    func putBack() { nextAvailable &-= 1 }

    /// Whether a chain is there to take. - Throws: `RingError.indexJump`.
    func hasAvailable() throws(RingError) -> Bool {
        if knownAvailable != nextAvailable { return true }
        knownAvailable = cv_load16(available + 2)
        guard knownAvailable &- nextAvailable <= size else { throw .indexJump }
        return knownAvailable != nextAvailable
    }

    private func walk(
        _ head: UInt16, into chain: DescriptorChain, _ memory: borrowing GuestMemory
    ) throws(RingError) {
        chain.reset(head: head)
        var table = descriptors
        var tableSize = UInt32(size)
        var index = UInt32(head)
        var steps: UInt32 = 0
        var isIndirect = false
        while true {
            // A chain visits each entry at most once, so one more step than there are entries is a loop.
            guard steps < tableSize else { throw .loop }
            steps += 1
            let entry = table + 16 * Int(index)
            let address = cv_load64(entry)
            let length = cv_load32(entry + 8)
            let flags = cv_load16(entry + 12)
            let next = cv_load16(entry + 14)

            if flags & Self.indirectFlag != 0 {
                guard allowsIndirect, !isIndirect, flags & Self.nextFlag == 0 else { throw .nestedIndirect }
                guard length > 0, length % 16 == 0, length / 16 <= UInt32(DescriptorChain.capacity), address % 8 == 0
                else { throw .badIndirect }
                guard let bytes = memory.bytes(at: address, upTo: UInt64(length)), bytes.count == Int(length),
                    let base = bytes.baseAddress
                else { throw .outOfMemory }
                table = base
                tableSize = length / 16
                index = 0
                steps = 0
                isIndirect = true
                continue
            }

            let writable = flags & Self.writeFlag != 0
            if !writable && chain.writableBytes > 0 { throw .readableAfterWritable }
            try append(address, length, writable, to: chain, memory)
            if flags & Self.nextFlag == 0 { return }
            guard UInt32(next) < tableSize else { throw .badNext }
            index = UInt32(next)
        }
    }

    @inline(__always)
    private func append(
        _ address: UInt64, _ length: UInt32, _ writable: Bool, to chain: DescriptorChain,
        _ memory: borrowing GuestMemory
    ) throws(RingError) {
        var address = address
        var left = UInt64(length)
        guard chain.readableBytes + chain.writableBytes + Int(length) <= Int(UInt32.max) else { throw .tooLong }
        // A buffer may lie in two regions that follow each other.
        while left > 0 {
            guard let bytes = memory.bytes(at: address, upTo: left) else { throw .outOfMemory }
            guard chain.append(bytes, writable: writable) else { throw .tooLong }
            left -= UInt64(bytes.count)
            let (following, wraps) = address.addingReportingOverflow(UInt64(bytes.count))
            guard !wraps || left == 0 else { throw .outOfMemory }
            address = following
        }
    }

    // MARK: Giving back

    /// Hands a chain back; the guest sees it after `publish`.
    func push(_ head: UInt16, length: UInt32) {
        let entry = used + 4 + 8 * Int(nextUsed & (size - 1))
        cv_store32(entry, UInt32(head))
        cv_store32(entry + 4, length)
        nextUsed &+= 1
    }

    var unpublished: Int { Int(nextUsed &- publishedUsed) }

    /// Shows the guest what was pushed, and interrupts it if it asked for that.
    func publish() {
        guard nextUsed != publishedUsed else { return }
        let old = publishedUsed
        cv_store16(used + 2, nextUsed)
        publishedUsed = nextUsed
        cv_fence()
        let wanted: Bool
        if usesEventIndex {
            let event = cv_load16(available + 4 + 2 * Int(size))
            wanted = (nextUsed &- event &- 1) < (nextUsed &- old)
        } else {
            wanted = cv_load16(available) & 1 == 0
        }
        if wanted { interrupt() }
    }

    func interrupt() {
        guard let call else { return }
        var one: UInt64 = 1
        _ = write(call.raw, &one, 8)
    }

    // MARK: Notifications from the guest

    /// Asks the guest not to notify while this side is looking anyway: each notification costs the guest an exit.
    func suppressKicks() {
        // With event indexes the one set last has already been passed, which is as good.
        if !usesEventIndex { cv_store16(used, 1) }
    }

    /// Asks for a notification of the next chain. - Returns: whether one came before the guest could see that.
    func requestKick() throws(RingError) -> Bool {
        if usesEventIndex {
            cv_store16(used + 4 + 8 * Int(size), nextAvailable)
        } else {
            cv_store16(used, 0)
        }
        cv_fence()
        return try hasAvailable()
    }

    /// Takes the notification off the kick descriptor, so that it can be waited for again.
    func drainKick() {
        guard let kick else { return }
        var value: UInt64 = 0
        _ = read(kick.raw, &value, 8)
    }
}

/// What the rings point to before the front end has placed them; never followed. 16 is not 0, so this is not nil.
private func nowhere() -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped }

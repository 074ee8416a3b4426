import Glibc
import System
import Testing
import VsockDriver

@testable import Vsock

/// Rings as a hostile guest writes them. Memory: 1 MiB at guest address 0, a ring of eight at 0, indirect tables at
/// 0x8000.
@Suite struct VirtqueueTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let name: String
        let expected: RingError?
        let write: @Sendable (SharedMemory, Ring) -> Void
        var testDescription: String { name }

        init(_ name: String, _ expected: RingError?, _ write: @escaping @Sendable (SharedMemory, Ring) -> Void) {
            self.name = name
            self.expected = expected
            self.write = write
        }
    }

    static let size = 8
    static let next: UInt16 = 1
    static let writable: UInt16 = 2
    static let indirect: UInt16 = 4

    /// Writes a descriptor of the ring, or of the indirect table at 0x8000.
    static func entry(
        _ memory: SharedMemory, _ index: Int, _ address: UInt64, _ length: UInt32, _ flags: UInt16 = 0,
        next: UInt16 = 0, table: Int = 0
    ) {
        GuestDriver.write(memory, table + 16 * index, address, length, flags, next)
    }

    static func offer(_ memory: SharedMemory, _ ring: Ring, head: UInt16 = 0, index: UInt16 = 1) {
        memory.store(head, at: ring.available + 4)
        memory.store(index, at: ring.available + 2)
    }

    static let cases: [Case] = [
        Case("one buffer", nil) { memory, ring in
            entry(memory, 0, 0x1000, 100)
            offer(memory, ring)
        },
        Case("readable, then writable", nil) { memory, ring in
            entry(memory, 0, 0x1000, 100, next, next: 3)
            entry(memory, 3, 0x2000, 100, writable)
            offer(memory, ring)
        },
        Case("the whole table", nil) { memory, ring in
            for index in 0..<7 { entry(memory, index, 0x1000, 1, next, next: UInt16(index + 1)) }
            entry(memory, 7, 0x1000, 1)
            offer(memory, ring)
        },
        Case("empty buffer", nil) { memory, ring in
            entry(memory, 0, .max, 0)
            offer(memory, ring)
        },
        Case("indirect", nil) { memory, ring in
            entry(memory, 0, 0x8000, 32, indirect)
            entry(memory, 0, 0x1000, 5, next, next: 1, table: 0x8000)
            entry(memory, 1, 0x1000, 5, writable, table: 0x8000)
            offer(memory, ring)
        },
        Case("to itself", .loop) { memory, ring in
            entry(memory, 0, 0x1000, 1, next, next: 0)
            offer(memory, ring)
        },
        Case("round in two", .loop) { memory, ring in
            entry(memory, 0, 0x1000, 1, next, next: 1)
            entry(memory, 1, 0x1000, 1, next, next: 0)
            offer(memory, ring)
        },
        Case("head beyond the table", .badHead) { memory, ring in offer(memory, ring, head: 8) },
        Case("greatest head", .badHead) { memory, ring in offer(memory, ring, head: .max) },
        Case("next beyond the table", .badNext) { memory, ring in
            entry(memory, 0, 0x1000, 1, next, next: 8)
            offer(memory, ring)
        },
        Case("index ran ahead", .indexJump) { memory, ring in offer(memory, ring, index: 9) },
        Case("index went back", .indexJump) { memory, ring in offer(memory, ring, index: .max) },
        Case("buffer beyond memory", .outOfMemory) { memory, ring in
            entry(memory, 0, 0x10_0000, 1)
            offer(memory, ring)
        },
        Case("buffer ends beyond memory", .outOfMemory) { memory, ring in
            entry(memory, 0, 0xF_FFFF, 2)
            offer(memory, ring)
        },
        Case("buffer of four gigabytes", .outOfMemory) { memory, ring in
            entry(memory, 0, 0, .max)
            offer(memory, ring)
        },
        Case("buffer wraps", .outOfMemory) { memory, ring in
            entry(memory, 0, .max, 2)
            offer(memory, ring)
        },
        Case("readable after writable", .readableAfterWritable) { memory, ring in
            entry(memory, 0, 0x1000, 1, next | writable, next: 1)
            entry(memory, 1, 0x1000, 1)
            offer(memory, ring)
        },
        Case("indirect with a successor", .nestedIndirect) { memory, ring in
            entry(memory, 0, 0x8000, 16, indirect | next)
            offer(memory, ring)
        },
        Case("indirect in indirect", .nestedIndirect) { memory, ring in
            entry(memory, 0, 0x8000, 16, indirect)
            entry(memory, 0, 0x8000, 16, indirect, table: 0x8000)
            offer(memory, ring)
        },
        Case("empty indirect table", .badIndirect) { memory, ring in
            entry(memory, 0, 0x8000, 0, indirect)
            offer(memory, ring)
        },
        Case("indirect table of half an entry", .badIndirect) { memory, ring in
            entry(memory, 0, 0x8000, 24, indirect)
            offer(memory, ring)
        },
        Case("huge indirect table", .badIndirect) { memory, ring in
            entry(memory, 0, 0x8000, 0xFFFF_FFF0, indirect)
            offer(memory, ring)
        },
        Case("indirect table beyond memory", .outOfMemory) { memory, ring in
            entry(memory, 0, 0xF_FFF0, 32, indirect)
            offer(memory, ring)
        },
        Case("loop in an indirect table", .loop) { memory, ring in
            entry(memory, 0, 0x8000, 32, indirect)
            entry(memory, 0, 0x1000, 1, next, next: 1, table: 0x8000)
            entry(memory, 1, 0x1000, 1, next, next: 0, table: 0x8000)
            offer(memory, ring)
        },
        Case("next beyond an indirect table", .badNext) { memory, ring in
            entry(memory, 0, 0x8000, 16, indirect)
            entry(memory, 0, 0x1000, 1, next, next: 1, table: 0x8000)
            offer(memory, ring)
        },
    ]

    /// A queue of eight over a megabyte. - Parameter base: where both indexes stand.
    static func make(
        base: UInt16 = 0, features: VhostUser.Features = [.indirectDescriptors]
    ) throws -> (SharedMemory, GuestMemory, Virtqueue, Ring) {
        let shared = try SharedMemory(sizeInBytes: 1 << 20)
        var memory = GuestMemory()
        try memory.add(
            .init(guestAddress: 0, size: 1 << 20, userAddress: FrontEnd.userBase, fileOffset: 0), shared.file)
        let ring = Ring(size: size, at: 0)
        let queue = Virtqueue()
        try queue.setSize(UInt32(size))
        queue.setBase(base)
        queue.addresses = .init(
            index: 0, flags: 0, descriptors: FrontEnd.userBase, used: FrontEnd.userBase + UInt64(ring.used),
            available: FrontEnd.userBase + UInt64(ring.available))
        shared.store(base, at: ring.available + 2)
        shared.store(base, at: ring.used + 2)
        try queue.start(in: memory, features: features)
        return (shared, memory, queue, ring)
    }

    @Test(arguments: cases) func chain(_ example: Case) throws {
        let (shared, memory, queue, ring) = try Self.make()
        example.write(shared, ring)
        var failure: RingError?
        do { #expect(try queue.pop(into: DescriptorChain(), memory)) } catch { failure = error }
        #expect(failure == example.expected)
    }

    @Test func indirectIsRefusedUnlessNegotiated() throws {
        let (shared, memory, queue, ring) = try Self.make(features: [])
        Self.entry(shared, 0, 0x8000, 16, Self.indirect)
        Self.offer(shared, ring)
        #expect(throws: RingError.nestedIndirect) { try queue.pop(into: DescriptorChain(), memory) }
    }

    @Test(arguments: [0, 3, 6, 1025, 2048, UInt32.max] as [UInt32]) func impossibleSizes(_ size: UInt32) {
        #expect(throws: RingError.badSize(size)) { try Virtqueue().setSize(size) }
    }

    struct Place: Sendable {
        let name: String
        let descriptors: UInt64
        let used: UInt64
        let available: UInt64
        let expected: RingError
    }

    @Test(arguments: [
        Place(name: "nowhere", descriptors: 0, used: 0, available: 0, expected: .unmapped),
        Place(
            name: "used ring ends outside", descriptors: FrontEnd.userBase, used: FrontEnd.userBase + 0xF_FFC0,
            available: FrontEnd.userBase, expected: .unmapped),
        Place(
            name: "top of the address space", descriptors: 0 &- 16, used: 0 &- 4, available: 0 &- 2, expected: .unmapped
        ),
        Place(
            name: "odd", descriptors: FrontEnd.userBase + 1, used: FrontEnd.userBase, available: FrontEnd.userBase,
            expected: .unaligned),
    ]) func ringsOutsideOfMemory(_ place: Place) throws {
        let (_, memory, _, _) = try Self.make()
        let queue = Virtqueue()
        try queue.setSize(8)
        queue.addresses = .init(
            index: 0, flags: 0, descriptors: place.descriptors, used: place.used, available: place.available)
        #expect(throws: place.expected) { try queue.start(in: memory, features: []) }
    }

    @Test(arguments: [0, 0xFFFD] as [UInt16]) func indexesWrap(_ base: UInt16) throws {
        let (shared, memory, queue, ring) = try Self.make(base: base)
        defer { withExtendedLifetime(memory) {} }
        let chain = DescriptorChain()
        for round in 0..<20 {
            let index = base &+ UInt16(round)
            Self.entry(shared, round % 8, UInt64(0x1000 + round), UInt32(round + 1))
            shared.store(UInt16(round % 8), at: ring.available + 4 + 2 * Int(index % 8))
            shared.store(index &+ 1, at: ring.available + 2)
            #expect(try queue.pop(into: chain, memory))
            #expect(chain.readableBytes == round + 1)
            queue.push(chain.head, length: UInt32(100 + round))
            queue.publish()
            #expect(shared.load(UInt16.self, at: ring.used + 2) == index &+ 1)
            let used = ring.used + 4 + 8 * Int(index % 8)
            #expect(shared.load(UInt32.self, at: used) == UInt32(round % 8))
            #expect(shared.load(UInt32.self, at: used + 4) == UInt32(100 + round))
            #expect(try !queue.pop(into: chain, memory))
        }
    }

    struct Interrupt: Sendable {
        let name: String
        let features: VhostUser.Features
        /// `flags` of the available ring, or `used_event` with event indexes.
        let wish: UInt16
        let batches: [Int]
        let expected: UInt64
    }

    @Test(arguments: [
        Interrupt(name: "always", features: [], wish: 0, batches: [1, 2, 3], expected: 3),
        Interrupt(name: "never", features: [], wish: 1, batches: [1, 2, 3], expected: 0),
        Interrupt(name: "at the first", features: [.eventIndex], wish: 0, batches: [1, 2, 3], expected: 1),
        Interrupt(name: "at the fourth", features: [.eventIndex], wish: 3, batches: [1, 2, 3], expected: 1),
        Interrupt(name: "later", features: [.eventIndex], wish: 6, batches: [1, 2, 3], expected: 0),
    ]) func interrupts(_ example: Interrupt) throws {
        let (shared, memory, queue, ring) = try Self.make(features: example.features)
        defer { withExtendedLifetime(memory) {} }
        let at = example.features.contains(.eventIndex) ? ring.available + 4 + 2 * Self.size : ring.available
        shared.store(example.wish, at: at)
        let event = FileDescriptor(eventDescriptor())
        queue.call = event
        for batch in example.batches {
            for _ in 0..<batch { queue.push(0, length: 0) }
            queue.publish()
        }
        var count: UInt64 = 0
        _ = read(event.raw, &count, 8)
        #expect(count == example.expected)
    }
}

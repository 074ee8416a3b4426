import Glibc
import System
import Testing
import VsockDriver

@testable import Vsock

@Suite struct PacketHeaderTests {
    @Test func layoutIsTheSpecifications() {
        var header = PacketHeader()
        header.sourceCID = 0x0102_0304_0506_0708
        header.destinationCID = 2
        header.sourcePort = 0xA1A2_A3A4
        header.destinationPort = 0xB1B2_B3B4
        header.length = 0xC1C2_C3C4
        header.type = 1
        header.operation = 5
        header.flags = 3
        header.bufferInBytes = 0xD1D2_D3D4
        header.forwarded = 0xE1E2_E3E4
        var bytes = [UInt8](repeating: 0xFF, count: PacketHeader.sizeInBytes)
        bytes.withUnsafeMutableBytes { header.write(to: $0) }
        let expected: [UInt8] = [
            8, 7, 6, 5, 4, 3, 2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0xA4, 0xA3, 0xA2, 0xA1, 0xB4, 0xB3, 0xB2, 0xB1,
            0xC4, 0xC3, 0xC2, 0xC1, 1, 0, 5, 0, 3, 0, 0, 0, 0xD4, 0xD3, 0xD2, 0xD1, 0xE4, 0xE3, 0xE2, 0xE1,
        ]
        #expect(bytes == expected)
        #expect(bytes.withUnsafeBytes { PacketHeader($0) } == header)
    }
}

@Suite struct CreditTests {
    /// Counters start at zero, in the middle, and just before they wrap.
    static let starts: [UInt32] = [0, 1 << 31, .max - 3, .max]

    private func expectReceived(_ credit: inout Credit, _ count: UInt32, _ expected: Bool) {
        let received = credit.receive(count)
        #expect(received == expected)
    }

    @Test(arguments: starts) func guestMaySendTheBufferAndNoMore(start: UInt32) {
        var credit = Credit(bufferInBytes: 1000, countersAt: start)
        expectReceived(&credit, 600, true)
        #expect(credit.held == 600)
        expectReceived(&credit, 401, false)
        #expect(credit.held == 600)
        expectReceived(&credit, 400, true)
        expectReceived(&credit, 1, false)
        credit.forward(10)
        expectReceived(&credit, 11, false)
        expectReceived(&credit, 10, true)
        #expect(credit.held == 1000)
    }

    /// The guest's own buffer, which bounds what Linux sends ahead, and what is passed on before it hears of it.
    @Test(arguments: [(0, 1), (1, 1), (400, 200), (1000, 500), (.max, 500)] as [(UInt32, UInt32)])
    func aSmallerSenderHearsOfSpaceEarlier(peer: UInt32, threshold: UInt32) {
        var credit = Credit(bufferInBytes: 1000)
        credit.update(peerBufferInBytes: peer, peerForwarded: 0)
        expectReceived(&credit, 1000, true)
        #expect(!credit.needsAnnouncement)
        credit.forward(threshold - 1)
        #expect(!credit.needsAnnouncement)
        credit.forward(1)
        #expect(credit.needsAnnouncement)
    }

    @Test(arguments: starts) func spaceIsAnnouncedAtHalfTheBuffer(start: UInt32) {
        var credit = Credit(bufferInBytes: 1000, countersAt: start)
        credit.update(peerBufferInBytes: 1000, peerForwarded: start)
        expectReceived(&credit, 1000, true)
        credit.forward(499)
        #expect(!credit.needsAnnouncement)
        credit.forward(1)
        #expect(credit.needsAnnouncement)
        let announced = credit.announce()
        #expect(announced == start &+ 500)
        #expect(!credit.needsAnnouncement)
    }

    @Test(arguments: starts) func hostSendsWhatTheGuestHolds(start: UInt32) {
        var credit = Credit(bufferInBytes: 1000, countersAt: start)
        #expect(credit.available == 0)
        credit.update(peerBufferInBytes: 100, peerForwarded: start)
        #expect(credit.available == 100)
        credit.send(70)
        #expect(credit.available == 30)
        credit.update(peerBufferInBytes: 100, peerForwarded: start &+ 50)
        #expect(credit.available == 80)
        // A buffer that shrinks below what is under way is no credit, not four billion.
        credit.update(peerBufferInBytes: 10, peerForwarded: start &+ 50)
        #expect(credit.available == 0)
        // Bytes read that were never sent.
        credit.update(peerBufferInBytes: 100, peerForwarded: start &+ 90)
        #expect(credit.available == 0)
    }
}

@Suite struct ByteRingTests {
    @Test func keepsOrderAcrossTheEnd() {
        var ring = ByteRing(capacity: 10)
        func add(_ bytes: [UInt8], skip: Int = 0) -> Bool {
            var bytes = bytes
            return bytes.withUnsafeMutableBytes { raw in
                var vectors = [iovec(iov_base: raw.baseAddress, iov_len: raw.count)]
                return vectors.withUnsafeMutableBufferPointer {
                    ring.append(UnsafeBufferPointer($0), skip: skip, length: raw.count - skip)
                }
            }
        }
        func content() -> [UInt8] {
            ring.withVectors { $0.flatMap { Array(UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len)) } }
        }
        #expect(add([1, 2, 3, 4, 5, 6, 7]))
        #expect(!add([8, 9, 10, 11]))
        #expect(content() == [1, 2, 3, 4, 5, 6, 7])
        ring.drop(5)
        #expect(add([0, 0, 8, 9, 10, 11, 12, 13, 14, 15], skip: 2))
        #expect(content() == [6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
        #expect(!add([16]))
        ring.drop(10)
        let isEmpty = ring.isEmpty
        #expect(isEmpty)
        #expect(content().isEmpty)
    }
}

@Suite struct GuestMemoryTests {
    typealias Region = VhostUser.MemoryRegion

    struct Case: CustomTestStringConvertible, Sendable {
        let name: String
        let regions: [Region]
        let expected: GuestMemory.Failure?
        var testDescription: String { name }
    }

    static let page = 4096 as UInt64
    static let cases = [
        Case(
            name: "one", regions: [Region(guestAddress: 0, size: page, userAddress: page, fileOffset: 0)], expected: nil
        ),
        Case(
            name: "empty", regions: [Region(guestAddress: 0, size: 0, userAddress: 0, fileOffset: 0)], expected: .empty),
        Case(
            name: "beyond the file", regions: [Region(guestAddress: 0, size: 17 * page, userAddress: 0, fileOffset: 0)],
            expected: .beyondFile),
        Case(
            name: "offset beyond the file",
            regions: [Region(guestAddress: 0, size: page, userAddress: 0, fileOffset: 16 * page)], expected: .beyondFile
        ),
        Case(
            name: "offset wraps",
            regions: [Region(guestAddress: 0, size: 2 * page, userAddress: 0, fileOffset: 0 &- page)], expected: .wraps),
        Case(
            name: "guest address wraps",
            regions: [Region(guestAddress: 0 &- page, size: 2 * page, userAddress: 0, fileOffset: 0)], expected: .wraps),
        Case(
            name: "user address wraps",
            regions: [Region(guestAddress: 0, size: 2 * page, userAddress: 0 &- page, fileOffset: 0)], expected: .wraps),
        Case(
            name: "unaligned", regions: [Region(guestAddress: 0, size: page, userAddress: 0, fileOffset: 1)],
            expected: .unaligned),
        Case(
            name: "part of a page", regions: [Region(guestAddress: 0, size: 100, userAddress: 0, fileOffset: 0)],
            expected: .unaligned),
        Case(
            name: "overlap",
            regions: [
                Region(guestAddress: 0, size: 2 * page, userAddress: 0, fileOffset: 0),
                Region(guestAddress: page, size: page, userAddress: 8 * page, fileOffset: 0),
            ], expected: .overlaps),
        Case(
            name: "overlap in the front end",
            regions: [
                Region(guestAddress: 0, size: 2 * page, userAddress: 0, fileOffset: 0),
                Region(guestAddress: 8 * page, size: page, userAddress: page, fileOffset: 0),
            ], expected: .overlaps),
    ]

    @Test(arguments: cases) func regionsAreChecked(_ example: Case) throws {
        let shared = try SharedMemory(sizeInBytes: 16 * 4096)
        var memory = GuestMemory()
        var failure: GuestMemory.Failure?
        for region in example.regions {
            do { try memory.add(region, shared.file) } catch { failure = error }
        }
        #expect(failure == example.expected)
    }

    @Test func aPipeIsNotMemory() throws {
        let (read, _) = try makePipe()
        var memory = GuestMemory()
        #expect(throws: GuestMemory.Failure.notAFile) {
            try memory.add(Region(guestAddress: 0, size: 4096, userAddress: 0, fileOffset: 0), read)
        }
    }

    @Test func addressesStayInside() throws {
        let shared = try SharedMemory(sizeInBytes: 16 * 4096)
        var memory = GuestMemory()
        try memory.add(Region(guestAddress: 0x10000, size: 0x4000, userAddress: 0x100000, fileOffset: 0), shared.file)
        #expect(memory.bytes(at: 0xFFFF, upTo: 1) == nil)
        #expect(memory.bytes(at: 0x10000, upTo: 1)?.count == 1)
        #expect(memory.bytes(at: 0x13FFF, upTo: 100)?.count == 1)
        #expect(memory.bytes(at: 0x14000, upTo: 1) == nil)
        #expect(memory.bytes(at: .max, upTo: .max) == nil)
        #expect(memory.pointer(atUserAddress: 0x100000, length: 0x4000) != nil)
        #expect(memory.pointer(atUserAddress: 0x100000, length: 0x4001) == nil)
        #expect(memory.pointer(atUserAddress: 0x100001, length: 0x4000) == nil)
        #expect(memory.pointer(atUserAddress: 0x103FFF, length: .max) == nil)
        #expect(memory.pointer(atUserAddress: 0xFFFFF, length: 1) == nil)
        let removed = memory.remove(Region(guestAddress: 0x10000, size: 0x4000, userAddress: 0x100000, fileOffset: 0))
        #expect(removed)
        #expect(memory.bytes(at: 0x10000, upTo: 1) == nil)
    }
}

import Glibc
import System
import Testing
import VsockDriver

@testable import Vsock

/// Starts, stops, resets, and front ends and rings that misbehave.
@Suite struct LifeTests {
    /// As every program of ours does first: a reader that has left is an error of a write, not a signal.
    init() { signal(SIGPIPE, SIG_IGN) }

    /// A stream with something under way.
    private func stream(_ fixture: Fixture) throws -> (GuestStream, FileDescriptor, Fixture.Closed) {
        let (device, host) = try makeSocketPair()
        let closed = fixture.serve(1, input: device, output: device)
        var stream = try fixture.connect(1)
        try stream.write(pattern(1000))
        return (stream, host, closed)
    }

    @Test func theSocketIsGoneOnceTheFrontEndIsThere() throws {
        let fixture = try Fixture()
        try fixture.driver.frontEnd.synchronize()
        #expect(!Files.exists(fixture.device.socketPath))
    }

    @Test func stopRemovesTheSocket() throws {
        let path = "/tmp/cloister-vsock-stop.\(getpid())"
        let device = try VsockDevice(socketPath: path)
        #expect(Files.exists(path))
        device.stop()
        device.stop()
        #expect(!Files.exists(path))
    }

    @Test(arguments: [0, 1, 2, 0xFFFF_FFFF, .max] as [UInt64]) func reservedAddressesAreRefused(_ cid: UInt64) {
        #expect(throws: SystemError.self) { try VsockDevice(socketPath: "/tmp/never", guestCID: cid) }
    }

    @Test func portsAreGivenOutOnce() throws {
        let fixture = try Fixture()
        var seen: Set<UInt32> = []
        for _ in 0..<1000 { #expect(seen.insert(fixture.device.allocatePort()).inserted) }
    }

    @Test func aFrontEndThatVanishesEndsTheStreams() throws {
        let fixture = try Fixture()
        let (_, host, closed) = try stream(fixture)
        try fixture.driver.frontEnd.synchronize()
        shutdown(fixture.driver.frontEnd.socket.raw, Int32(SHUT_RDWR))
        #expect(try host.readToEnd(limit: 1 << 20) == pattern(1000))
        #expect(closed.wait() == .deviceGone)
        #expect(fixture.disconnects.wait(timeout: .seconds(10)) { $0 == 1 ? true : nil } == true)
    }

    /// What a guest handed over just before it powered off, or its QEMU was killed, is not lost.
    @Test(arguments: [true, false]) func theLastBytesArrive(killed: Bool) throws {
        let fixture = try Fixture()
        var (stream, host, closed) = try stream(fixture)
        for part in 0..<20 {
            try fixture.driver.send(stream.header(.data), pattern(5000, from: 1000 + 5000 * part), notify: false)
            stream.sent += 5000
        }
        if killed {
            shutdown(fixture.driver.frontEnd.socket.raw, Int32(SHUT_RDWR))
        } else {
            for index in 0..<2 { _ = try fixture.driver.stopRing(index) }
            fixture.device.stop()
        }
        #expect(try host.readToEnd(limit: 1 << 20) == pattern(101_000))
        #expect(closed.wait() == (killed ? .deviceGone : .stopped))
    }

    @Test func stopEndsTheStreams() throws {
        let fixture = try Fixture()
        let (_, host, closed) = try stream(fixture)
        defer { host.close() }
        try fixture.driver.frontEnd.synchronize()
        fixture.device.stop()
        #expect(closed.wait() == .stopped)
        #expect(fixture.driver.frontEnd.waitForClose())
        #expect(fixture.disconnects.withLock { $0 } == 0)
    }

    @Test func aPauseKeepsTheStreams() throws {
        let fixture = try Fixture()
        var (stream, host, closed) = try stream(fixture)
        let bases = [try fixture.driver.stopRing(0), try fixture.driver.stopRing(1)]
        try host.writeAll(pattern(5000))
        try fixture.driver.frontEnd.synchronize()
        for index in 0..<2 { try fixture.driver.startRing(index, base: bases[index]) }
        while stream.received.count < 5000 { try stream.take() }
        #expect(stream.received == pattern(5000))
        #expect(closed.count == 0)
    }

    @Test func aGuestsResetEndsTheStreams() throws {
        let fixture = try Fixture()
        let (_, host, closed) = try stream(fixture)
        try fixture.driver.frontEnd.synchronize()
        for index in 0..<2 { _ = try fixture.driver.stopRing(index) }
        try fixture.driver.startRings()
        #expect(closed.wait() == .deviceGone)
        #expect(try host.readToEnd(limit: 1 << 20) == pattern(1000))
        // The new driver starts over, with the same ports.
        let again = try stream(fixture)
        try fixture.driver.frontEnd.synchronize()
        #expect(again.0.operations.first == .response)
    }

    @Test(arguments: [0, 1]) func brokenRingsEndTheStreamsAndAResetMendsThem(_ queue: Int) throws {
        let fixture = try Fixture()
        let (_, host, closed) = try stream(fixture)
        defer { host.close() }
        try fixture.driver.frontEnd.synchronize()
        // Receive buffers are looked at when something is to be sent: an echo of a stray packet.
        fixture.driver.setAvailableIndex(queue, fixture.driver.rings[queue].nextAvailable &+ 1000)
        if queue == 0 {
            for _ in 0..<200 where fixture.log.withLock({ $0.isEmpty }) {
                try fixture.driver.send(GuestStream(fixture.driver, port: 9, hostPort: 9).header(.data))
                try fixture.driver.frontEnd.synchronize()
            }
        }
        fixture.driver.kick(queue)
        #expect(closed.wait() == .deviceGone)
        #expect(fixture.log.withLock { $0.count } == 1)
        for index in 0..<2 { _ = try fixture.driver.stopRing(index) }
        try fixture.driver.startRings()
        #expect(try stream(fixture).0.operations.first == .response)
    }

    @Test func receiveBuffersTooShortForAHeaderBreakTheDevice() throws {
        let fixture = try Fixture()
        for slot in 0..<GuestDriver.queueSize {
            fixture.driver.descriptor(0, slot, address: 0x10_0000, length: 43, flags: 2)
        }
        try GuestStream(fixture.driver, port: 9, hostPort: 9).send(.request)
        #expect(fixture.log.wait(timeout: .seconds(10)) { $0.isEmpty ? nil : $0.count } == 1)
    }

    /// A guest that opens and resets without ever reading cannot make this process keep all of that.
    @Test func aGuestThatNeverListensIsNotListenedTo() throws {
        let fixture = try Fixture(limits: .init(connections: 4))
        let closed = fixture.serve(1)
        // No receive buffers at all.
        _ = try fixture.driver.stopRing(0)
        var sent = 0
        while sent < 2000, fixture.driver.canSend() {
            let stream = GuestStream(fixture.driver, port: UInt32(sent / 2), hostPort: 1)
            try stream.send(sent % 2 == 0 ? .request : .reset)
            sent += 1
            try fixture.driver.frontEnd.synchronize()
        }
        // 260 openings, each reset at once, and what the ring holds.
        #expect(sent > 256 && sent < 1000)
        // It goes on once the guest listens.
        try fixture.driver.startRing(0, base: 0)
        try fixture.driver.frontEnd.synchronize()
        while try !fixture.driver.isQuiet() { _ = try fixture.driver.next() }
        #expect(closed.count > 200)
        #expect(fixture.driver.canSend())
    }

    struct Malformed: CustomTestStringConvertible, Sendable {
        let name: String
        let request: UInt32
        let payload: [UInt8]
        var flags: UInt32 = 1
        var testDescription: String { name }
    }

    @Test(arguments: [
        Malformed(name: "unknown request", request: 99, payload: []),
        Malformed(name: "unknown version", request: 1, payload: [], flags: 2),
        Malformed(name: "long payload", request: 1, payload: [UInt8](repeating: 0, count: 4000)),
        Malformed(name: "features not offered", request: 2, payload: FrontEnd.bytes(UInt64.max)),
        Malformed(name: "short features", request: 2, payload: [1, 2, 3]),
        Malformed(name: "size of queue 2", request: 8, payload: FrontEnd.pair(2, 128)),
        Malformed(name: "size that is no power of two", request: 8, payload: FrontEnd.pair(0, 100)),
        Malformed(
            name: "memory without descriptors", request: 5,
            payload: FrontEnd.table([FrontEnd.region(guest: 0, size: 4096)])),
        Malformed(name: "notifications of queue 255", request: 12, payload: FrontEnd.bytes(UInt64(255))),
        Malformed(name: "no notifications", request: 12, payload: FrontEnd.bytes(UInt64(0x100))),
        Malformed(
            name: "huge configuration", request: 24,
            payload: FrontEnd.bytes(UInt32(0)) + FrontEnd.bytes(UInt32.max) + FrontEnd.bytes(UInt32(0))),
    ]) func malformedMessagesEndTheConnection(_ message: Malformed) throws {
        let fixture = try Fixture()
        try fixture.driver.frontEnd.send(message.request, message.payload, flags: message.flags)
        #expect(fixture.driver.frontEnd.waitForClose())
        #expect(fixture.log.withLock { $0.count } == 1)
    }

    @Test func memoryCanBePluggedAndUnplugged() throws {
        let fixture = try Fixture()
        let more = try SharedMemory(sizeInBytes: 1 << 20)
        let region = FrontEnd.region(guest: 1 << 30, size: 1 << 20, user: 0x6000_0000_0000)
        let payload = FrontEnd.bytes(UInt64(0)) + region
        for expected in [0, 1] as [UInt64] {
            try fixture.driver.frontEnd.send(37, payload, fds: [more.file.raw], flags: 9)
            #expect(try fixture.driver.frontEnd.reply().payload == FrontEnd.bytes(expected))
        }
        for expected in [0, 1] as [UInt64] {
            try fixture.driver.frontEnd.send(38, payload, flags: 9)
            #expect(try fixture.driver.frontEnd.reply().payload == FrontEnd.bytes(expected))
        }
        // The rings are where they were.
        #expect(try stream(fixture).0.operations.first == .response)
    }
}

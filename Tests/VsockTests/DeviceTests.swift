import Glibc
import System
import Testing
import VsockDriver

@testable import Vsock

/// The whole device, driven by a guest in this process.
@Suite struct DeviceTests {
    /// As every program of ours does first: a reader that has left is an error of a write, not a signal.
    init() { signal(SIGPIPE, SIG_IGN) }

    static let featureSets: [UInt64] = [
        GuestDriver.Bit.version1, GuestDriver.Bit.version1 | GuestDriver.Bit.protocolFeatures,
        GuestDriver.Bit.version1 | GuestDriver.Bit.protocolFeatures | GuestDriver.Bit.indirect
            | GuestDriver.Bit.eventIndex,
    ]

    @Test func configurationHoldsTheGuestsCID() throws {
        let fixture = try Fixture()
        let question = FrontEnd.bytes(UInt32(0)) + FrontEnd.bytes(UInt32(8)) + FrontEnd.bytes(UInt32(0))
        let answer = try fixture.driver.frontEnd.ask(24, question + [UInt8](repeating: 0, count: 8))
        #expect(answer == question + [3, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test(arguments: featureSets) func echoIsByteEqual(_ features: UInt64) throws {
        let total = features == Self.featureSets.last ? 64 << 20 : 4 << 20
        let fixture = try Fixture(features: features)
        let (device, host) = try makeSocketPair()
        let closed = fixture.serve(1, input: device, output: device)
        // The host's side: sends back what it gets, and ends when the guest does.
        Thread.start("echo") {
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let n = read(host.raw, &buffer, buffer.count)
                if n <= 0 { break }
                guard (try? host.writeAll(Array(buffer[..<n]))) != nil else { break }
            }
            shutdown(host.raw, Int32(SHUT_WR))
        }
        var stream = try fixture.connect(1)
        let block = pattern(1 << 20)
        var sent = 0
        var received = 0
        var wrong = 0
        while received < total {
            while sent < total, stream.credit >= 1 << 16 {
                let at = sent % (1 << 20)
                try stream.write(Array(block[at..<at + (1 << 16)]))
                sent += 1 << 16
                if sent == total { try stream.send(.shutdown, flags: 2) }
            }
            try stream.take()
            var at = 0
            while at < stream.received.count {
                let from = (received + at) % (1 << 20)
                let count = min(stream.received.count - at, (1 << 20) - from)
                if stream.received[at..<at + count] != block[from..<from + count] { wrong += 1 }
                at += count
            }
            received += stream.received.count
            stream.received = []
            // As Linux: an update when three quarters of the buffer were read.
            if UInt32(truncatingIfNeeded: received) &- stream.forwarded > 192 << 10 {
                stream.forwarded = UInt32(truncatingIfNeeded: received)
                try stream.send(.creditUpdate)
            }
        }
        while !stream.peerShutdown.contains(.send) { try stream.take() }
        #expect(received == total)
        #expect(wrong == 0)
        #expect(closed.wait() == .finished)
        // The guest closes its socket: the answer is a reset.
        try stream.send(.shutdown, flags: 3)
        while !stream.wasReset { try stream.take() }
        #expect(try fixture.driver.isQuiet())
        #expect(closed.count == 1)
        #expect(fixture.log.withLock { $0 } == [])
    }

    @Test func theGuestEndsFirst() throws {
        let fixture = try Fixture()
        let (device, host) = try makeSocketPair()
        let closed = fixture.serve(1, input: device, output: device)
        var stream = try fixture.connect(1)
        try stream.write(pattern(1000))
        try stream.send(.shutdown, flags: 2)
        // The reader sees all of it and then the end, while the other direction goes on.
        #expect(try host.readToEnd(limit: 1 << 20) == pattern(1000))
        try host.writeAll(pattern(500))
        while stream.received.count < 500 { try stream.take() }
        #expect(closed.count == 0)
        shutdown(host.raw, Int32(SHUT_WR))
        while stream.peerShutdown != .send { try stream.take() }
        #expect(stream.received == pattern(500))
        #expect(closed.wait() == .finished)
    }

    @Test func theHostEndsFirst() throws {
        let fixture = try Fixture()
        let (read, write) = try makePipe()
        let (back, output) = try makePipe()
        let closed = fixture.serve(1, input: read, output: output)
        var stream = try fixture.connect(1)
        output.close()
        try write.writeAll(pattern(10_000))
        write.close()
        while stream.peerShutdown != .send { try stream.take() }
        #expect(stream.received == pattern(10_000))
        try stream.write(pattern(10))
        #expect(closed.count == 0)
        try stream.send(.shutdown, flags: 2)
        #expect(closed.wait() == .finished)
        fixture.device.unlisten(port: 1)
        #expect(try back.readToEnd(limit: 1 << 20) == pattern(10))
    }

    @Test func anOutputThatNobodyReadsCanBeAbandoned() throws {
        let fixture = try Fixture()
        let (unread, output) = try makePipe()
        let closed = fixture.serve(1, output: output)
        var stream = try fixture.connect(1)
        // More than a pipe holds; the guest has ended its side, and the rest waits for a reader.
        for _ in 0..<4 { try stream.write(pattern(32_768)) }
        try stream.send(.shutdown, flags: 3)
        while !stream.wasReset { try stream.take() }
        #expect(closed.count == 0)
        fixture.device.abandonOutput(port: 1)
        #expect(closed.wait() == .outputFailed(errno: ECANCELED))
        // Nothing holds the pipe any more but what was written to it.
        output.close()
        #expect(try unread.readToEnd(limit: 1 << 20) == Array((0..<4).flatMap { _ in pattern(32_768) }.prefix(65_536)))
    }

    @Test func withoutInputTheGuestSeesTheEndAtOnce() throws {
        let fixture = try Fixture()
        _ = fixture.serve(1)
        var stream = try fixture.connect(1)
        while stream.peerShutdown != .send { try stream.take() }
        // Nobody reads; the credit comes back all the same.
        for _ in 0..<64 { try stream.write(pattern(1 << 16)) }
        #expect(!stream.wasReset)
    }

    @Test func aReaderThatWentAwayStopsTheWriter() throws {
        let fixture = try Fixture()
        let (read, write) = try makePipe()
        let (input, keep) = try makePipe()
        let closed = fixture.serve(1, input: input, output: write)
        var stream = try fixture.connect(1)
        write.close()
        read.close()
        try stream.write(pattern(100))
        while !stream.peerShutdown.contains(.receive) { try stream.take() }
        #expect(closed.count == 0)
        keep.close()
        while stream.peerShutdown != .both { try stream.take() }
        #expect(closed.wait() == .outputFailed(errno: EPIPE))
        // What was on its way is no offence.
        try stream.write(pattern(100))
        try stream.send(.shutdown, flags: 3)
        while !stream.wasReset { try stream.take() }
    }

    @Test func aGuestThatReadsNoMoreClosesTheInput() throws {
        let fixture = try Fixture()
        let (input, writer) = try makePipe()
        let closed = fixture.serve(1, input: input)
        var stream = try fixture.connect(1)
        fixture.device.unlisten(port: 1)
        input.close()
        try stream.send(.shutdown, flags: 3)
        while !stream.wasReset { try stream.take() }
        #expect(closed.wait() == .finished)
        var ending = pollfd(fd: writer.raw, events: 0, revents: 0)
        #expect(poll(&ending, 1, 10_000) == 1 && ending.revents & Int16(POLLERR) != 0)
    }

    @Test func aResetStillDeliversWhatArrived() throws {
        let fixture = try Fixture()
        let (device, host) = try makeSocketPair()
        let closed = fixture.serve(1, input: device, output: device)
        var stream = try fixture.connect(1)
        // More than the socket takes, so that some of it waits here.
        for part in 0..<4 { try stream.write(pattern(60_000, from: part * 60_000)) }
        try stream.send(.reset)
        try fixture.driver.frontEnd.synchronize()
        #expect(try host.readToEnd(limit: 1 << 20) == pattern(240_000))
        #expect(closed.wait() == .resetByGuest)
    }

    @Test func aSlowReaderHoldsUpNobodyElse() throws {
        let fixture = try Fixture()
        let (slow, slowHost) = try makeSocketPair()
        let (quick, quickHost) = try makeSocketPair()
        _ = fixture.serve(1, input: slow, output: slow)
        let closed = fixture.serve(2, input: quick, output: quick)
        var first = try fixture.connect(1, from: 5000)
        var stuck = 0
        // Until neither the socket nor the buffer takes more.
        while first.credit >= 4096 {
            try first.write(pattern(4096, from: stuck))
            stuck += 4096
            try fixture.driver.frontEnd.synchronize()
            while try !fixture.driver.isQuiet() { try first.take() }
        }
        #expect(stuck > 256 << 10)
        var second = try fixture.connect(2, from: 5001)
        Thread.start("reader") {
            _ = try? quickHost.readToEnd(limit: 1 << 30)
            shutdown(quickHost.raw, Int32(SHUT_WR))
        }
        for _ in 0..<256 { try second.write(pattern(1 << 16)) }
        try second.send(.shutdown, flags: 2)
        while !second.peerShutdown.contains(.send) { try second.take() }
        #expect(closed.wait() == .finished)
        // The slow one lost nothing.
        try first.send(.shutdown, flags: 2)
        #expect(try slowHost.readToEnd(limit: 1 << 30) == pattern(stuck))
    }

    @Test func theHostWaitsForTheGuestsCredit() throws {
        let fixture = try Fixture()
        let (input, writer) = try makePipe()
        _ = fixture.serve(1, input: input)
        var stream = try fixture.connect(1, bufferInBytes: 10_000)
        Thread.start("writer") {
            try? writer.writeAll(pattern(50_000))
            writer.close()
        }
        for granted in stride(from: 10_000, through: 50_000, by: 10_000) {
            while stream.received.count < granted { try stream.take() }
            #expect(try fixture.driver.isQuiet() || granted == 50_000)
            #expect(stream.received.count == granted)
            try stream.grantCredit()
        }
        while !stream.peerShutdown.contains(.send) { try stream.take() }
        #expect(stream.received == pattern(50_000))
    }

    @Test func moreThanTheCreditIsAReset() throws {
        let fixture = try Fixture(limits: .init(bufferInBytes: 64 << 10))
        let (device, host) = try makeSocketPair()
        var size: Int32 = 4096
        setsockopt(device.raw, SOL_SOCKET, SO_SNDBUF, &size, 4)
        let closed = fixture.serve(1, input: device, output: device)
        var stream = try fixture.connect(1)
        for _ in 0..<8 where !stream.wasReset { try fixture.driver.send(stream.header(.data), pattern(1 << 16)) }
        while !stream.wasReset { try stream.take() }
        _ = try host.readToEnd(limit: 1 << 20)
        #expect(closed.wait() == .protocolViolation)
    }

    @Test func connectionsBeyondTheCapAreReset() throws {
        let fixture = try Fixture(limits: .init(connections: 3))
        _ = fixture.serve(1, output: try FileDescriptor.open("/dev/null", O_WRONLY))
        var answers: [PacketHeader.Operation?] = []
        var streams: [GuestStream] = []
        for port in 0..<5 as Range<UInt32> {
            let stream = try fixture.connect(1, from: 6000 + port)
            answers.append(stream.operations.first)
            streams.append(stream)
            while try !fixture.driver.isQuiet() { _ = try fixture.driver.next() }
        }
        #expect(answers == [.response, .response, .response, .reset, .reset])
        try streams[0].send(.shutdown, flags: 3)
        let answer = try streams[0].take()
        #expect(answer == .reset)
        #expect(try fixture.connect(1, from: 7000).operations.first == .response)
    }

    struct Stray: CustomTestStringConvertible, Sendable {
        let name: String
        let change: @Sendable (inout PacketHeader) -> Void
        /// Nil: no answer.
        let expected: PacketHeader.Operation?
        var testDescription: String { name }
    }

    @Test(arguments: [
        Stray(name: "nobody listens", change: { $0.destinationPort = 99 }, expected: .reset),
        Stray(name: "another's address", change: { $0.sourceCID = 4 }, expected: nil),
        Stray(name: "to another guest", change: { $0.destinationCID = 4 }, expected: nil),
        Stray(name: "unknown type", change: { $0.type = 2 }, expected: .reset),
        Stray(name: "data without connection", change: { $0.operation = 5 }, expected: .reset),
        Stray(name: "shutdown without connection", change: { $0.operation = 4 }, expected: .reset),
        Stray(name: "unknown operation", change: { $0.operation = 77 }, expected: .reset),
        Stray(name: "reset without connection", change: { $0.operation = 3 }, expected: nil),
        Stray(name: "refused by the host", change: { $0.destinationPort = 2 }, expected: .reset),
    ]) func strayPackets(_ stray: Stray) throws {
        let fixture = try Fixture()
        _ = fixture.serve(1)
        fixture.device.listen(port: 2) { _ in nil }
        var header = GuestStream(fixture.driver, port: 5000, hostPort: 1).header(.request)
        stray.change(&header)
        try fixture.driver.send(header)
        guard let expected = stray.expected else {
            #expect(try fixture.driver.isQuiet())
            return
        }
        let answer = try fixture.driver.next().header
        #expect(answer.operation == expected.rawValue)
        #expect(answer.destinationPort == header.sourcePort && answer.sourcePort == header.destinationPort)
        #expect(answer.sourceCID == 2 && answer.destinationCID == 3)
    }

    @Test func aLengthBeyondTheBufferIsAReset() throws {
        let fixture = try Fixture()
        let closed = fixture.serve(1)
        var stream = try fixture.connect(1)
        try fixture.driver.send(stream.header(.data), pattern(10), length: 11)
        while !stream.wasReset { try stream.take() }
        #expect(closed.wait() == .protocolViolation)
    }

    @Test func creditIsToldWhenAsked() throws {
        let fixture = try Fixture()
        _ = fixture.serve(1)
        var stream = try fixture.connect(1)
        while stream.peerShutdown != .send { try stream.take() }
        try stream.write(pattern(100))
        try stream.send(.creditRequest)
        let answer = try stream.take()
        #expect(answer == .creditUpdate)
        #expect(stream.peerForwarded == 100)
    }
}

import Glibc
import System
import Testing
import VsockDriver

@testable import Vsock

/// Every kind of descriptor a stream can be joined to.
@Suite struct EndpointTests {
    /// As every program of ours does first: a reader that has left is an error of a write, not a signal.
    init() { signal(SIGPIPE, SIG_IGN) }

    /// Sends `count` bytes to port 1 and ends.
    private func send(_ fixture: Fixture, _ count: Int) throws {
        var stream = try fixture.connect(1)
        var done = 0
        while done < count {
            let piece = min(1 << 15, count - done)
            try stream.write(pattern(piece, from: done))
            done += piece
        }
        try stream.send(.shutdown, flags: 2)
    }

    /// Takes everything port 1 has to say.
    private func receive(_ fixture: Fixture) throws -> [UInt8] {
        var stream = try fixture.connect(1, from: 5001, bufferInBytes: 1 << 30)
        while !stream.peerShutdown.contains(.send) { try stream.take() }
        return stream.received
    }

    private func flags(_ descriptor: FileDescriptor) -> Int32 { fcntl(descriptor.raw, F_GETFL) & O_NONBLOCK }

    @Test func file() throws {
        let fixture = try Fixture()
        let path = "\(fixture.directory)/file"
        let closed = fixture.serve(1, output: try .open(path, O_WRONLY | O_CREAT))
        try send(fixture, 300_000)
        #expect(closed.wait() == .finished)
        #expect(try Files.read(path) == pattern(300_000))
        _ = fixture.serve(1, input: try .open(path, O_RDONLY))
        #expect(try receive(fixture) == pattern(300_000))
    }

    @Test func pipeIsReadSlowlyAndItsFlagsStay() throws {
        let fixture = try Fixture()
        let (read, write) = try makePipe()
        let closed = fixture.serve(1, output: try write.duplicate())
        try send(fixture, 200_000)
        #expect(flags(write) == 0)
        fixture.device.unlisten(port: 1)
        write.close()
        #expect(try read.readToEnd(limit: 1 << 20) == pattern(200_000))
        #expect(closed.wait() == .finished)
    }

    @Test func pipeAsInput() throws {
        let fixture = try Fixture()
        let (read, write) = try makePipe()
        _ = fixture.serve(1, input: read)
        Thread.start("writer") {
            try? write.writeAll(pattern(300_000))
            write.close()
        }
        #expect(try receive(fixture) == pattern(300_000))
        #expect(flags(read) == 0)
    }

    @Test func fifo() throws {
        let fixture = try Fixture()
        let path = "\(fixture.directory)/fifo"
        #expect(mkfifo(path, 0o600) == 0)
        let ends = try FileDescriptor.open(path, O_RDWR)
        let closed = fixture.serve(1, output: try .open(path, O_WRONLY))
        let reader = try FileDescriptor.open(path, O_RDONLY)
        ends.close()
        try send(fixture, 100_000)
        fixture.device.unlisten(port: 1)
        #expect(try reader.readToEnd(limit: 1 << 20) == pattern(100_000))
        #expect(closed.wait() == .finished)
    }

    /// A FIFO opened for both reading and writing never hangs up, as a caller wants who opens it so.
    @Test func fifoHeldOpenBothWays() throws {
        let fixture = try Fixture()
        let path = "\(fixture.directory)/fifo"
        #expect(mkfifo(path, 0o600) == 0)
        let closed = fixture.serve(1, output: try .open(path, O_RDWR))
        var stream = try fixture.connect(1)
        fixture.device.unlisten(port: 1)
        try stream.write(pattern(1000))
        try fixture.driver.frontEnd.synchronize()
        let reader = try FileDescriptor.open(path, O_RDONLY)
        #expect(try reader.readExactly(1000) == pattern(1000))
        try stream.send(.shutdown, flags: 3)
        #expect(closed.wait() == .finished)
        #expect(try reader.readToEnd(limit: 1) == [])
    }

    @Test func nullDevice() throws {
        let fixture = try Fixture()
        let closed = fixture.serve(
            1, input: try .open("/dev/null", O_RDONLY), output: try .open("/dev/null", O_WRONLY))
        try send(fixture, 1 << 20)
        #expect(closed.wait() == .finished)
    }

    @Test func fullDeviceIsReported() throws {
        let fixture = try Fixture()
        let closed = fixture.serve(1, output: try .open("/dev/full", O_WRONLY))
        var stream = try fixture.connect(1)
        try stream.write(pattern(10))
        #expect(closed.wait() == .outputFailed(errno: ENOSPC))
        while stream.peerShutdown != .both { try stream.take() }
    }

    /// A terminal's two sides: the master goes through a pump, since opening it again would make another terminal.
    @Test(arguments: [true, false]) func terminal(master isMaster: Bool) throws {
        let fixture = try Fixture()
        let (master, slave) = try makeTerminal()
        let (ours, theirs) = isMaster ? (master, slave) : (slave, master)
        let closed = fixture.serve(1, input: try ours.duplicate(), output: try ours.duplicate())
        var stream = try fixture.connect(1)
        Thread.start("typist") { try? theirs.writeAll(pattern(2000)) }
        try stream.write(pattern(3000))
        while stream.received.count < 2000 { try stream.take() }
        #expect(stream.received == pattern(2000))
        #expect(try theirs.readExactly(3000) == pattern(3000))
        #expect(flags(ours) == 0)
        try stream.send(.shutdown, flags: 3)
        #expect(closed.wait() == .finished)
    }

    @Test func descriptorThatIsNotOpen() throws {
        let fixture = try Fixture()
        let (read, _) = try makePipe()
        read.close()
        _ = fixture.serve(1, input: read)
        #expect(try fixture.connect(1).operations == [.reset])
    }
}

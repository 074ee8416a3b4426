import Glibc
import System
import Testing
import Vsock
import VsockDriver

@testable import Sandbox

/// A process's outputs, with the guest's end of them in this process.
@Suite struct StdioPortsTests {
    final class Fixture {
        private let temporary: TemporaryDirectory
        let device: VsockDevice
        let driver: GuestDriver

        init() throws {
            temporary = try TemporaryDirectory()
            let directory = temporary.path
            device = try VsockDevice(socketPath: "\(directory)/s")
            driver = try GuestDriver(
                socketPath: "\(directory)/s", features: GuestDriver.Bit.version1 | GuestDriver.Bit.protocolFeatures)
        }

        deinit { device.stop() }

        /// A FIFO with the client's end, and the shim's, which is open both ways.
        func fifo() throws -> (reader: FileDescriptor, output: FileDescriptor) {
            let path = "\(temporary.path)/out"
            try syscall("mkfifo") { mkfifo(path, 0o600) }
            let output = try FileDescriptor.open(path, O_RDWR)
            return (try FileDescriptor.open(path, O_RDONLY), output)
        }

        /// A process that writes so much to its standard output and ends.
        func process(_ output: FileDescriptor, writes count: Int) throws -> StdioPorts {
            let ports = StdioPorts(Stdio(output: output), on: device)
            var stream = GuestStream(driver, port: 5000, hostPort: ports.io.stdoutPort)
            try stream.connect()
            for start in stride(from: 0, to: count, by: 1 << 15) {
                try stream.write([UInt8](repeating: 7, count: min(1 << 15, count - start)))
            }
            try stream.send(.shutdown, flags: 3)
            while !stream.wasReset { try stream.take() }
            return ports
        }
    }

    /// In a FIFO's pipe there is room for 65536 bytes.
    @Test(arguments: [1000, 60_000, 65_536 + 10_000])
    func anEndIsToldWhenTheOutputHasBeenRead(_ count: Int) throws {
        let fixture = try Fixture()
        let (reader, output) = try fixture.fifo()
        let ports = try fixture.process(output, writes: count)
        let isTold = Guarded(false)
        Thread.start("waiter") {
            let drained = ports.waitUntilDrained(timeout: .seconds(30))
            isTold.withLock { $0 = drained }
        }
        // Slowly, and not to the end.
        var buffer = [UInt8](repeating: 0, count: 1 << 17)
        var left = count
        for step in stride(from: 10, to: 1, by: -1) {
            let piece = left / step
            left -= try buffer.withUnsafeMutableBytes { try reader.read(into: .init(rebasing: $0.prefix(piece))) }
            #expect(
                isTold.wait(timeout: .milliseconds(10)) { $0 ? true : nil } == nil,
                "with \(left) of \(count) bytes unread")
        }
        while left > 0 { left -= try buffer.withUnsafeMutableBytes { try reader.read(into: $0) } }
        #expect(isTold.wait(timeout: .seconds(10)) { $0 ? true : nil } == true)
        withExtendedLifetime(output) {}
    }

    /// As with `ctr run --detach`, whose output is read by nobody once it has returned.
    @Test func aFIFOThatNobodyReadsKeepsTheEndFromNobodyForLong() throws {
        let fixture = try Fixture()
        let (reader, output) = try fixture.fifo()
        reader.close()
        let ports = try fixture.process(output, writes: 1000)
        #expect(ports.waitUntilDrained(timeout: .seconds(10)))
    }

    /// Whoever reads a pipe of `cloister run`'s reads to its end.
    @Test func aPipeIsNotWaitedFor() throws {
        let fixture = try Fixture()
        let (reader, output) = try makePipe()
        let ports = try fixture.process(output, writes: 1000)
        #expect(ports.waitUntilDrained(timeout: .seconds(10)))
        output.close()
        #expect(try reader.readToEnd(limit: 1 << 20).count == 1000)
    }
}

import Glibc
import System
import VsockDriver

@testable import Vsock

/// A device and the guest at its other end, gone with the fixture.
final class Fixture {
    let directory: String
    let device: VsockDevice
    let driver: GuestDriver
    let log = Guarded<[String]>([])
    let disconnects = Guarded(0)

    init(
        limits: VsockDevice.Limits = .init(),
        features: UInt64 = GuestDriver.Bit.version1 | GuestDriver.Bit.protocolFeatures | GuestDriver.Bit.indirect
            | GuestDriver.Bit.eventIndex
    ) throws {
        var template = Array("/tmp/cloister-vsock-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError("mkdtemp") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let log = log
        let disconnects = disconnects
        device = try VsockDevice(
            socketPath: "\(directory)/s", limits: limits, log: { line in log.withLock { $0.append(line) } },
            onDisconnect: { disconnects.withLock { $0 += 1 } })
        driver = try GuestDriver(socketPath: "\(directory)/s", features: features)
    }

    deinit {
        device.stop()
        try? Files.removeTree(directory)
    }

    /// What `onClosed` said.
    struct Closed: Sendable {
        private let reasons = Guarded<[StreamEnds.Reason]>([])
        func note(_ reason: StreamEnds.Reason) { reasons.withLock { $0.append(reason) } }
        /// - Returns: the reason, or nil when the stream did not end in time or was reported more than once.
        func wait() -> StreamEnds.Reason? {
            reasons.wait(timeout: .seconds(10)) { $0.first }
        }
        var count: Int { reasons.withLock { $0.count } }
    }

    /// Serves `port` with `input` and `output` for every connection.
    func serve(_ port: UInt32, input: FileDescriptor? = nil, output: FileDescriptor? = nil) -> Closed {
        let closed = Closed()
        device.listen(port: port) { _ in StreamEnds(input: input, output: output, onClosed: { closed.note($0) }) }
        return closed
    }

    func connect(_ hostPort: UInt32, from port: UInt32 = 5000, bufferInBytes: UInt32 = 256 << 10) throws -> GuestStream
    {
        var stream = GuestStream(driver, port: port, hostPort: hostPort, bufferInBytes: bufferInBytes)
        try stream.connect()
        return stream
    }
}

/// Bytes in which no two neighbourhoods look alike.
func pattern(_ count: Int, from start: Int = 0) -> [UInt8] {
    (start..<start + count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8 &* 17 &+ $0 >> 16) }
}

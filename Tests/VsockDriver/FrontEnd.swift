import CSystem
import Glibc
import System

/// The front end's half of vhost-user, as QEMU speaks it, raw enough to speak it badly.
package final class FrontEnd {
    /// An address of the front end's own memory, as ring addresses are given; any number will do.
    package static let userBase: UInt64 = 0x7000_0000_0000
    /// The device did not answer in time.
    package struct Silence: Error {}
    /// The device closed the connection.
    package struct Closed: Error {}

    package let socket: FileDescriptor

    /// - Throws: `SystemError`.
    package init(socketPath: String) throws(SystemError) { socket = try UnixSocket.connect(socketPath) }

    package func send(_ request: UInt32, _ payload: [UInt8], fds: [Int32] = [], flags: UInt32 = 1) throws {
        var message = Self.bytes(request) + Self.bytes(flags) + Self.bytes(UInt32(payload.count))
        message += payload
        let n = cs_send_fds(socket.raw, message, message.count, fds, Int32(fds.count))
        if n != message.count { throw Closed() }
    }

    /// Waits for one reply. - Throws: `Silence`, `Closed`.
    package func reply(timeoutInMilliseconds: Int32 = 10_000) throws -> (request: UInt32, payload: [UInt8]) {
        let header = try read(12, timeoutInMilliseconds)
        func word(_ at: Int) -> UInt32 {
            header.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: UInt32.self) }
        }
        return (word(0), try read(Int(min(word(8), 4096)), timeoutInMilliseconds))
    }

    package func ask(_ request: UInt32, _ payload: [UInt8] = []) throws -> [UInt8] {
        try send(request, payload)
        return try reply().payload
    }

    /// Returns once everything sent or notified before was handled. Twice, because notifications and messages arrive by
    /// different descriptors: the second question is read after a look at all of them.
    package func synchronize() throws {
        for _ in 0..<2 { _ = try ask(1) }
    }

    /// Whether the device has closed the connection; waits for it.
    package func waitForClose(timeoutInMilliseconds: Int32 = 10_000) -> Bool {
        do {
            while true { _ = try read(1, timeoutInMilliseconds) }
        } catch { return error is Closed }
    }

    private func read(_ count: Int, _ timeout: Int32) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var have = 0
        while have < count {
            var polled = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
            if poll(&polled, 1, timeout) == 0 { throw Silence() }
            let n = bytes.withUnsafeMutableBytes { recv(socket.raw, $0.baseAddress.map { $0 + have }, count - have, 0) }
            if n <= 0 { throw Closed() }
            have += n
        }
        return bytes
    }

    // MARK: Messages

    package static func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

    package static func region(guest: UInt64, size: UInt64, user: UInt64 = userBase, offset: UInt64 = 0) -> [UInt8] {
        bytes(guest) + bytes(size) + bytes(user) + bytes(offset)
    }

    package static func table(_ regions: [[UInt8]]) -> [UInt8] {
        bytes(UInt32(regions.count)) + bytes(UInt32(0)) + regions.flatMap { $0 }
    }

    package static func pair(_ index: UInt32, _ value: UInt32) -> [UInt8] { bytes(index) + bytes(value) }

    package static func addresses(_ index: UInt32, _ ring: Ring) -> [UInt8] {
        pair(index, 0) + bytes(userBase + UInt64(ring.descriptors)) + bytes(userBase + UInt64(ring.used))
            + bytes(userBase + UInt64(ring.available)) + bytes(UInt64(0))
    }
}

/// Where a ring's parts lie in memory, and the driver's own counters of it.
package struct Ring {
    package let size: Int
    package let descriptors: Int
    package var available: Int { descriptors + 16 * size }
    package var used: Int { (available + 6 + 2 * size + 3) & ~3 }
    package var nextAvailable: UInt16 = 0
    package var nextUsed: UInt16 = 0

    package init(size: Int, at offset: Int) {
        self.size = size
        descriptors = offset
    }
}

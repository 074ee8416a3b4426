import Glibc

/// The header before each packet's payload, 44 bytes, little endian (virtio 1.2, section 5.10.6).
package struct PacketHeader: Equatable, Sendable {
    package static let sizeInBytes = 44
    /// The host's address, by the specification.
    package static let hostCID: UInt64 = 2
    package static let streamType: UInt16 = 1
    /// The most payload Linux puts into, or takes from, one packet.
    package static let maximumPayloadInBytes: UInt32 = 64 << 10

    package enum Operation: UInt16, Sendable {
        case request = 1
        case response = 2
        case reset = 3
        case shutdown = 4
        case data = 5
        case creditUpdate = 6
        case creditRequest = 7
    }

    /// What a SHUTDOWN says its sender will not do any more.
    package struct Shutdown: OptionSet, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }
        package static let receive = Shutdown(rawValue: 1)
        package static let send = Shutdown(rawValue: 2)
        package static let both: Shutdown = [.receive, .send]
    }

    package var sourceCID: UInt64 = 0
    package var destinationCID: UInt64 = 0
    package var sourcePort: UInt32 = 0
    package var destinationPort: UInt32 = 0
    package var length: UInt32 = 0
    package var type: UInt16 = Self.streamType
    /// As sent: a guest may send any number. See `Operation`.
    package var operation: UInt16 = 0
    package var flags: UInt32 = 0
    /// The sender's buffer for this connection, in bytes.
    package var bufferInBytes: UInt32 = 0
    /// How many bytes, modulo 2^32, the sender has taken out of that buffer.
    package var forwarded: UInt32 = 0

    package init() {}

    /// - Parameter bytes: at least `sizeInBytes` of them.
    package init(_ bytes: UnsafeRawBufferPointer) {
        func field<T: FixedWidthInteger>(_ offset: Int, _: T.Type = T.self) -> T {
            T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
        sourceCID = field(0)
        destinationCID = field(8)
        sourcePort = field(16)
        destinationPort = field(20)
        length = field(24)
        type = field(28)
        operation = field(30)
        flags = field(32)
        bufferInBytes = field(36)
        forwarded = field(40)
    }

    package func write(to bytes: UnsafeMutableRawBufferPointer) {
        func put<T: FixedWidthInteger>(_ offset: Int, _ value: T) {
            bytes.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
        }
        put(0, sourceCID)
        put(8, destinationCID)
        put(16, sourcePort)
        put(20, destinationPort)
        put(24, length)
        put(28, type)
        put(30, operation)
        put(32, flags)
        put(36, bufferInBytes)
        put(40, forwarded)
    }
}

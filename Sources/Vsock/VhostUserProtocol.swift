/// The vhost-user protocol's numbers and layouts, as far as a vsock device needs them.
/// <https://qemu-project.gitlab.io/qemu/interop/vhost-user.html>
enum VhostUser {
    /// What the front end (QEMU) asks. Numbers not named here are answered by closing the connection.
    enum Request: UInt32, Sendable {
        case getFeatures = 1
        case setFeatures = 2
        case setOwner = 3
        case resetOwner = 4
        case setMemoryTable = 5
        case setVringSize = 8
        case setVringAddresses = 9
        case setVringBase = 10
        case getVringBase = 11
        case setVringKick = 12
        case setVringCall = 13
        case setVringError = 14
        case getProtocolFeatures = 15
        case setProtocolFeatures = 16
        case setVringEnable = 18
        case getConfig = 24
        case setConfig = 25
        case getMaximumMemorySlots = 36
        case addMemoryRegion = 37
        case removeMemoryRegion = 38
    }

    /// A message's first twelve bytes: request, flags, payload size; all in host byte order.
    struct Header: Equatable {
        static let sizeInBytes = 12
        static let version: UInt32 = 1
        static let replyFlag: UInt32 = 1 << 2
        static let needsReplyFlag: UInt32 = 1 << 3

        var request: UInt32
        var flags: UInt32
        var payloadSize: UInt32
    }

    /// Device features offered: virtio 1.2, section 6, and bit 30, which is vhost-user's own. SEQPACKET is not offered.
    struct Features: OptionSet {
        let rawValue: UInt64
        static let indirectDescriptors = Features(rawValue: 1 << 28)
        static let eventIndex = Features(rawValue: 1 << 29)
        static let protocolFeatures = Features(rawValue: 1 << 30)
        static let version1 = Features(rawValue: 1 << 32)
        static let offered: Features = [.indirectDescriptors, .eventIndex, .protocolFeatures, .version1]
    }

    struct ProtocolFeatures: OptionSet {
        let rawValue: UInt64
        static let replyAcknowledge = ProtocolFeatures(rawValue: 1 << 3)
        /// The guest's CID is in the device's configuration space, which QEMU asks us for.
        static let config = ProtocolFeatures(rawValue: 1 << 9)
        /// Regions added and removed one by one: memory hot-plug without mapping everything again.
        static let memorySlots = ProtocolFeatures(rawValue: 1 << 15)
        static let offered: ProtocolFeatures = [.replyAcknowledge, .config, .memorySlots]
    }

    static let maximumMemorySlots = 64
    /// The most regions one SET_MEM_TABLE may carry, by the specification.
    static let maximumTableRegions = 8
    /// The longest payload accepted: the configuration space's limit of 256 bytes with its header is the longest sent.
    static let maximumPayloadInBytes = 1024

    struct MemoryRegion: Equatable {
        static let sizeInBytes = 32
        var guestAddress: UInt64
        var size: UInt64
        /// The address in the front end's own memory, which ring addresses are given in.
        var userAddress: UInt64
        var fileOffset: UInt64
    }

    struct VringAddresses: Equatable {
        var index: UInt32
        var flags: UInt32
        var descriptors: UInt64
        var used: UInt64
        var available: UInt64
    }
}

/// Reads fixed-size integers off a payload; nil once it is too short.
struct PayloadReader {
    private var bytes: ArraySlice<UInt8>
    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    var remaining: Int { bytes.count }

    mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) -> T? {
        let size = MemoryLayout<T>.size
        guard bytes.count >= size else { return nil }
        defer { bytes = bytes.dropFirst(size) }
        return bytes.withUnsafeBytes { $0.loadUnaligned(as: T.self) }
    }

    mutating func memoryRegion() -> VhostUser.MemoryRegion? {
        guard let guest: UInt64 = integer(), let size: UInt64 = integer(), let user: UInt64 = integer(),
            let offset: UInt64 = integer()
        else { return nil }
        return .init(guestAddress: guest, size: size, userAddress: user, fileOffset: offset)
    }

    mutating func vringAddresses() -> VhostUser.VringAddresses? {
        guard let index: UInt32 = integer(), let flags: UInt32 = integer(), let descriptors: UInt64 = integer(),
            let used: UInt64 = integer(), let available: UInt64 = integer()
        else { return nil }
        return .init(index: index, flags: flags, descriptors: descriptors, used: used, available: available)
    }
}

extension [UInt8] {
    /// Appends an integer in host byte order, as vhost-user has it.
    mutating func append<T: FixedWidthInteger>(host value: T) {
        Swift.withUnsafeBytes(of: value) { append(contentsOf: $0) }
    }
}

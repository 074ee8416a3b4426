import Glibc

/// An IPv4 or IPv6 address as the kernel takes it, with the length of its network's prefix.
struct NetworkAddress: Equatable {
    let bytes: [UInt8]
    let prefixLength: UInt8

    /// `AF_INET` or `AF_INET6`.
    var family: UInt8 { UInt8(bytes.count == 4 ? AF_INET : AF_INET6) }

    /// `10.1.2.3`, `10.1.2.3/24`, `fd00::1/64`; without a length, the whole address. - Returns: nil for anything else.
    init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        var bytes = [UInt8](repeating: 0, count: text.contains(":") ? 16 : 4)
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard let first = parts.first, inet_pton(family, String(first), &bytes) == 1 else { return nil }
        self.bytes = bytes
        guard parts.count == 2 else {
            prefixLength = UInt8(bytes.count * 8)
            return
        }
        guard let length = UInt8(parts[1]), length <= bytes.count * 8 else { return nil }
        prefixLength = length
    }

    /// What all hosts of an IPv4 network answer to; nil where there is none (RFC 3021: networks of one or two).
    var broadcast: [UInt8]? {
        guard bytes.count == 4, prefixLength < 31 else { return nil }
        let hosts = UInt32.max >> UInt32(prefixLength)
        return zip(bytes, withUnsafeBytes(of: hosts.bigEndian) { Array($0) }).map { $0 | $1 }
    }

    /// Only this link knows it (RFC 4291, section 2.5.6; RFC 3927).
    var isLinkLocal: Bool {
        bytes.count == 16 ? bytes[0] == 0xFE && bytes[1] & 0xC0 == 0x80 : bytes[0] == 169 && bytes[1] == 254
    }
}

/// Six bytes, `02:00:00:00:00:01`.
struct HardwareAddress: Equatable {
    let bytes: [UInt8]

    init?(_ text: String) {
        let bytes = text.split(separator: ":", omittingEmptySubsequences: false).map { UInt8($0, radix: 16) }
        guard bytes.count == 6, !bytes.contains(nil) else { return nil }
        self.bytes = bytes.compactMap { $0 }
    }
}

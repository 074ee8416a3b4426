import Glibc

/// A device's number, in makedev(3)'s parts.
public struct DeviceNumber: Hashable, Sendable, CustomStringConvertible {
    public var major: Int64
    public var minor: Int64

    /// - Returns: nil for parts that no device has.
    public init?(major: Int64, minor: Int64) {
        guard UInt32(exactly: major) != nil, UInt32(exactly: minor) != nil else { return nil }
        self.major = major
        self.minor = minor
    }

    public init(_ number: dev_t) {
        let number = UInt64(number)
        major = Int64((number >> 8) & 0xfff | (number >> 32) & 0xffff_f000)
        minor = Int64(number & 0xff | (number >> 12) & 0xffff_ff00)
    }

    public var raw: dev_t {
        let (major, minor) = (UInt64(major), UInt64(minor))
        return dev_t((major & 0xfff) << 8 | (major & ~0xfff) << 32 | minor & 0xff | (minor & ~0xff) << 12)
    }

    /// As in `/sys/dev/block`.
    public var description: String { "\(major):\(minor)" }
}

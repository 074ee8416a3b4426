import Glibc
import System

/// Whether a sandbox's disk could not grow. The guest sees no more of it than a failed write.
public enum FreeSpace {
    /// Less than this, and what a guest writes at once does not fit.
    static let leastInBytes: UInt64 = 1 << 20

    /// - Parameter path: a file that grows.
    public static func isExhausted(at path: String) -> Bool {
        var info = statvfs()
        guard statvfs(place(of: path), &info) == 0 else { return false }
        return UInt64(info.f_bavail).multipliedReportingOverflow(by: UInt64(info.f_frsize)).partialValue < leastInBytes
    }

    /// The directory that is full.
    public static func place(of path: String) -> String { Files.parent(of: path) }
}

import Glibc
import System

/// What went wrong with an image or the store: one sentence for the person at the terminal, with the remedy.
public struct ImageError: Error, CustomStringConvertible, Equatable, Sendable {
    public let description: String
    public init(_ description: String) { self.description = description }

    /// A full disk deserves better words than a system call's; everything else stays as it is.
    /// - Parameters:
    ///   - path: what was being written below.
    ///   - doing: e.g. `loading layer sha256:…`.
    static func explaining(_ error: any Error, at path: String, doing: String) -> any Error {
        guard let error = error as? SystemError else { return error }
        switch error.errno {
        case ENOSPC, EDQUOT:
            return ImageError(
                "no space left on \(path) while \(doing); free space there, remove images with \"cloister image remove\", "
                    + "or set CLOISTER_DATA to a directory on a larger disk")
        case EROFS, EACCES, EPERM:
            return ImageError(
                "\(path) cannot be written while \(doing) (\(error)); check its owner and permissions, or set CLOISTER_DATA "
                    + "to a directory of your own")
        default: return error
        }
    }
}

/// A size as people read it, e.g. `1.5 GiB`.
func humanSize(_ bytes: Int64) -> String {
    var value = Double(bytes)
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024 { return unit == "B" ? "\(bytes) B" : "\((value * 10).rounded() / 10) \(unit)" }
        value /= 1024
    }
    return "\((value * 10).rounded() / 10) TiB"
}

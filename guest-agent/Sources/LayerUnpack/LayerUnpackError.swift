import Glibc
import System

/// Why a layer could not be unpacked. Printed flat, as one sentence that names the entry.
public enum LayerUnpackError: Error, Equatable, CustomStringConvertible, Sendable {
    /// Neither a tar archive nor one compressed with gzip, zstd or xz.
    case notATar
    /// The blob ends in the middle of the archive or of its compression.
    case truncated
    /// The archive or its compression is damaged; the text says where.
    case damaged(String)
    /// Its compression refers further back than this machine's memory goes: a zstd window above 128 MiB, or an xz
    /// dictionary larger than the memory.
    case windowTooLarge
    /// The blob cannot be read.
    case unreadable(errno: Int32)
    /// An entry asks for what no layer may ask for, or for what cannot be made.
    case refused(entry: String, reason: String)
    /// No space, or no inodes, are left on the disk that is unpacked onto.
    case diskFull(entry: String)
    /// A system call failed for a reason that is not the layer's.
    case failed(entry: String, call: String, errno: Int32)

    public var description: String {
        switch self {
        case .notATar:
            return "the layer is not a tar archive, plain or compressed with gzip, zstd or xz"
        case .truncated:
            return "the layer ends in the middle of its archive: it was not stored or fetched whole"
        case .damaged(let what):
            return "the layer is damaged: \(what)"
        case .windowTooLarge:
            return "the layer cannot be decompressed: its zstd or xz window takes more memory than there is for it"
        case .unreadable(let code):
            return "the layer cannot be read: \(String(cString: strerror(code)))"
        case .refused(let entry, let reason):
            return "the layer's entry \"\(entry)\" is refused: \(reason)"
        case .diskFull(let entry):
            return "the layer does not fit on its disk, which was full at \"\(entry)\""
        case .failed(let entry, let call, let code):
            return "the layer's entry \"\(entry)\" could not be made: \(call): \(String(cString: strerror(code)))"
        }
    }

    /// What a failed call on an entry means to the user.
    static func call(_ call: String, errno code: Int32, entry: @autoclosure () -> String) -> LayerUnpackError {
        switch code {
        case ENOSPC, EDQUOT: .diskFull(entry: entry())
        case ENAMETOOLONG: .refused(entry: entry(), reason: "a name is longer than 255 bytes, or its path than 4095")
        case ELOOP: .refused(entry: entry(), reason: "its path has too many symbolic links, or a loop of them")
        case EFBIG: .refused(entry: entry(), reason: "it is larger than a file can be")
        default: .failed(entry: entry(), call: call, errno: code)
        }
    }

    /// What libarchive's words mean to the user. They are hostile text where they quote the archive.
    static func archive(_ message: String) -> LayerUnpackError {
        if message.utf8.isEmpty { return .damaged("it cannot be decoded") }
        // The second is how liblzma sees an early end.
        if contains(message, "runcated") || contains(message, "No progress is possible") { return .truncated }
        // In zstd's words and, as libarchive puts them, in liblzma's.
        if contains(message, "requires too much memory") || contains(message, "Lzma library error: Cannot allocate") {
            return .windowTooLarge
        }
        return .damaged(printable(message.utf8))
    }
}

/// Whether `text` contains `part`. The standard library's own needs the string-processing library, which the agent
/// lacks.
func contains(_ text: String, _ part: String) -> Bool {
    let text = Array(text.utf8)
    let part = Array(part.utf8)
    guard text.count >= part.count else { return false }
    return (0...(text.count - part.count)).contains { text[$0...].starts(with: part) }
}

/// Bytes of an archive as text for a message: at most 200, without control characters, invalid UTF-8 replaced.
func printable(_ bytes: some Sequence<UInt8>) -> String {
    var kept: [UInt8] = []
    for byte in bytes {
        if kept.count == 200 {
            return String(decoding: kept, as: UTF8.self) + "…"
        }
        kept.append(byte < 0x20 || byte == 0x7f ? UInt8(ascii: "?") : byte)
    }
    return String(decoding: kept, as: UTF8.self)
}

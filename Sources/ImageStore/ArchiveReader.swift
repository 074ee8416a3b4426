import CArchive
import Glibc
import System

/// Reads a tar, plain or compressed by gzip, zstd, xz or bzip2, entry by entry. Nothing is ever extracted: names in the
/// archive are only compared. For one thread.
final class ArchiveReader {
    enum Kind: Equatable {
        case file
        /// A symbolic link's target, as written.
        case symbolicLink(String)
        /// The entry's name that a hard link repeats.
        case hardLink(String)
        case other
    }

    struct Entry {
        let name: String
        let kind: Kind
        /// In bytes, as the header says: to be checked, not believed.
        let size: Int64
    }

    private let archive: OpaquePointer
    private let path: String
    private var sawEntry = false

    /// - Throws: `ImageError` when the file cannot be opened.
    init(_ path: String) throws {
        self.path = path
        guard let archive = archive_read_new() else { throw ImageError("no memory left to read \(path)") }
        self.archive = archive
        // Named one by one: "all" would include filters that run programs found in PATH.
        archive_read_support_filter_gzip(archive)
        archive_read_support_filter_zstd(archive)
        archive_read_support_filter_xz(archive)
        archive_read_support_filter_bzip2(archive)
        archive_read_support_format_tar(archive)
        guard archive_read_open_filename(archive, path, 256 << 10) == ARCHIVE_OK else { throw failure() }
    }

    deinit { archive_read_free(archive) }

    /// The next entry; nil at the archive's end. What is left of the one before is skipped.
    func next() throws -> Entry? {
        var entry: OpaquePointer?
        let result = archive_read_next_header(archive, &entry)
        if result == ARCHIVE_EOF {
            guard sawEntry else { throw ImageError("\(path) is an empty archive") }
            return nil
        }
        guard result == ARCHIVE_OK || result == ARCHIVE_WARN, let entry else { throw failure() }
        sawEntry = true
        let name = archive_entry_pathname(entry).map { String(cString: $0) } ?? ""
        let kind: Kind
        if let target = archive_entry_hardlink(entry) {
            kind = .hardLink(Self.normalise(String(cString: target)))
        } else if let target = archive_entry_symlink(entry) {
            kind = .symbolicLink(String(cString: target))
        } else {
            kind = archive_entry_filetype(entry) == S_IFREG ? .file : .other
        }
        return Entry(name: Self.normalise(name), kind: kind, size: archive_entry_size(entry))
    }

    /// The current entry's next bytes; 0 at its end. Holes of sparse entries read as zeros.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = archive_read_data(archive, buffer.baseAddress, buffer.count)
        guard count >= 0 else { throw failure() }
        return count
    }

    /// The current entry whole. - Throws: `ImageError` beyond `limit` bytes, before memory is taken for them.
    func readAll(_ entry: Entry, limit: Int) throws -> [UInt8] {
        guard entry.size <= limit else { throw Self.tooLarge(entry.name, entry.size, limit: limit) }
        var bytes = [UInt8](repeating: 0, count: Int(max(entry.size, 0)))
        var have = 0
        while have < bytes.count {
            let count = try bytes.withUnsafeMutableBytes {
                try read(into: UnsafeMutableRawBufferPointer(rebasing: $0[have...]))
            }
            if count == 0 { throw truncated() }
            have += count
        }
        return bytes
    }

    func truncated() -> ImageError {
        ImageError("\(path) is truncated; copy or save the image again")
    }

    static func tooLarge(_ name: String, _ size: Int64, limit: Int) -> ImageError {
        ImageError("\(name) is \(humanSize(size)) large; no image's is larger than \(humanSize(Int64(limit)))")
    }

    /// Without leading `./`, which some writers put before every name.
    static func normalise(_ name: String) -> String {
        var rest = Substring(name)
        while rest.hasPrefix("./") { rest = rest.dropFirst(2) }
        return String(rest)
    }

    private func failure() -> ImageError {
        let code = archive_errno(archive)
        let text = archive_error_string(archive).map { String(cString: $0) } ?? ""
        let lower = text.lowercased()
        if lower.contains("truncated") || lower.contains("unexpected end") || lower.contains("premature end") {
            return truncated()
        }
        if lower.contains("unrecognized archive format") {
            return ImageError(
                "\(path) is not an image archive (a tar as \"docker save\", \"skopeo copy\" or \"podman save\" write it, "
                    + "compressed or not) nor a directory in OCI layout")
        }
        if !sawEntry, [ENOENT, EACCES, EISDIR, ENOTDIR, EPERM].contains(code) {
            return ImageError("\(path) cannot be read: \(String(cString: strerror(code)))")
        }
        return ImageError("\(path) is damaged: \(text.isEmpty ? "it cannot be read" : text)")
    }
}

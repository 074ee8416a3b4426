import CArchive
import Glibc
import System

/// Writes a tar (POSIX.1-2017, pax where a field needs it) whose bytes depend on nothing but names and content. For one
/// thread.
final class ArchiveWriter {
    private let archive: OpaquePointer
    private let path: String

    /// - Parameter path: what the descriptor is called in messages.
    init(_ descriptor: Int32, _ path: String) throws {
        guard let archive = archive_write_new() else { throw ImageError("no memory left to write \(path)") }
        self.archive = archive
        self.path = path
        archive_write_set_format_pax_restricted(archive)
        // The same into a pipe, whose last block libarchive would fill up.
        archive_write_set_bytes_in_last_block(archive, 1)
        guard archive_write_open_fd(archive, descriptor) == ARCHIVE_OK else { throw failure() }
    }

    deinit { archive_write_free(archive) }

    func add(_ name: String, _ bytes: [UInt8]) throws {
        try begin(name, Int64(bytes.count))
        try bytes.withUnsafeBytes { try write($0) }
    }

    /// - Returns: the digest of what was written.
    func add(_ name: String, _ file: FileDescriptor, _ size: Int64) throws -> Digest {
        try begin(name, size)
        let hasher = SHA256()
        try file.forEachPiece {
            hasher.update($0)
            try write($0)
        }
        return hasher.finish()
    }

    /// Writes the archive's end.
    func finish() throws {
        guard archive_write_close(archive) == ARCHIVE_OK else { throw failure() }
    }

    private func begin(_ name: String, _ size: Int64) throws {
        guard let entry = archive_entry_new() else { throw ImageError("no memory left to write \(path)") }
        defer { archive_entry_free(entry) }
        archive_entry_set_pathname(entry, name)
        archive_entry_set_size(entry, size)
        archive_entry_set_filetype(entry, S_IFREG)
        archive_entry_set_perm(entry, 0o644)
        archive_entry_set_mtime(entry, 0, 0)
        guard archive_write_header(archive, entry) == ARCHIVE_OK else { throw failure() }
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws {
        // What is beyond the size in the header is left out by libarchive, and the digest tells.
        guard bytes.isEmpty || archive_write_data(archive, bytes.baseAddress, bytes.count) >= 0 else { throw failure() }
    }

    private func failure() -> any Error {
        let code = archive_errno(archive)
        if code == ENOSPC || code == EDQUOT {
            return ImageError("no space left for \(path); free space there or save the image elsewhere")
        }
        return ImageError("\(path) cannot be written: \(String(cString: strerror(code)))")
    }
}

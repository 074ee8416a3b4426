import CLayerUnpack
import Glibc
import System

/// The uncompressed tar stream of a blob, in pieces, hashed as it passes. One thread's.
///
/// libarchive decompresses; hash and tar reader see the same bytes, so the digest covers everything up to the stream's
/// end, padding and garbage behind the archive included, as the image specification's diffID does.
final class LayerStream {
    private let blob: Int32
    private let sizeInBytes: UInt64
    private var offset: UInt64 = 0
    private let buffer: UnsafeMutableRawBufferPointer
    private let archive: OpaquePointer
    private var digest = sha256_ctx()
    /// The first error; the callbacks can only say that there was one.
    private(set) var fault: LayerUnpackError?
    private(set) var isAtEnd = false
    /// Whether what the reader asks for next can only be what fills the last file's block.
    var endsInPadding = false
    private var passedInBytes: UInt64 = 0
    private let zeros: UnsafeMutableRawBufferPointer
    private static let blockInBytes = 512

    /// Large, because every system call and every turn of a virtual disk's queue costs more in an emulated guest.
    private static let bufferInBytes = 1 << 20

    init(blob: Int32, sizeInBytes: UInt64) throws(LayerUnpackError) {
        guard let archive = archive_read_new() else { throw .damaged("out of memory") }
        self.archive = archive
        self.blob = blob
        self.sizeInBytes = sizeInBytes
        buffer = .allocate(byteCount: Self.bufferInBytes, alignment: 4096)
        zeros = .allocate(byteCount: Self.blockInBytes, alignment: 1)
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        nettle_sha256_init(&digest)
        archive_read_support_format_raw(archive)
        archive_read_support_format_empty(archive)
        archive_read_support_filter_gzip(archive)
        archive_read_support_filter_zstd(archive)
        archive_read_support_filter_xz(archive)
    }

    deinit {
        archive_read_free(archive)
        buffer.deallocate()
        zeros.deallocate()
    }

    /// Reads the first bytes and recognises the compression.
    func open() throws(LayerUnpackError) {
        let me = Unmanaged.passUnretained(self).toOpaque()
        var entry: OpaquePointer?
        guard archive_read_open(archive, me, nil, readBlob, nil) == ARCHIVE_OK else { throw failure() }
        let result = archive_read_next_header(archive, &entry)
        if result == ARCHIVE_EOF {
            isAtEnd = true
        } else if result != ARCHIVE_OK {
            throw failure()
        }
        // The blob itself counts as one.
        if archive_filter_count(archive) > 2 { throw .damaged("it is compressed more than once") }
    }

    /// The next bytes, valid until the next call; empty at the end. - Throws: also sets `fault`.
    func next() throws(LayerUnpackError) -> UnsafeRawBufferPointer {
        while !isAtEnd {
            var bytes: UnsafeRawPointer?
            var count = 0
            var position: la_int64_t = 0
            let result = archive_read_data_block(archive, &bytes, &count, &position)
            if result == ARCHIVE_EOF {
                isAtEnd = true
            } else if result != ARCHIVE_OK {
                throw failure()
            } else if count > 0, let bytes {
                nettle_sha256_update(&digest, count, bytes.assumingMemoryBound(to: UInt8.self))
                passedInBytes += UInt64(count)
                return UnsafeRawBufferPointer(start: bytes, count: count)
            }
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// `next()`, for the reader of the archive: where a stream ends with its last file's last byte, as those of
    /// `umoci insert` do, the rest of that block follows, which is no part of the stream and not in its digest.
    func nextPadded() throws(LayerUnpackError) -> UnsafeRawBufferPointer {
        let bytes = try next()
        let over = Int(passedInBytes % UInt64(Self.blockInBytes))
        guard bytes.isEmpty, endsInPadding, over > 0 else { return bytes }
        passedInBytes += UInt64(Self.blockInBytes - over)
        return UnsafeRawBufferPointer(rebasing: zeros[over...])
    }

    /// Reads what is left, for the digest alone, and returns that: 64 hex digits.
    func finish() throws(LayerUnpackError) -> String {
        while try next().count > 0 {}
        var bytes = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_SIZE))
        nettle_sha256_digest(&digest, bytes.count, &bytes)
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    private func failure() -> LayerUnpackError {
        let error = fault ?? .archive(archive_error_string(archive).map { String(cString: $0) } ?? "")
        fault = error
        return error
    }

    /// libarchive's read callback: the blob's next bytes, 0 at its end, -1 on failure.
    fileprivate func readPiece(_ piece: UnsafeMutablePointer<UnsafeRawPointer?>) -> la_ssize_t {
        let wanted = Int(min(UInt64(buffer.count), sizeInBytes - offset))
        if wanted == 0 { return 0 }
        do throws(SystemError) {
            let count = try syscall("pread") { pread(blob, buffer.baseAddress, wanted, off_t(offset)) }
            if count == 0 {
                fault = .truncated
                return -1
            }
            offset += UInt64(count)
            piece.pointee = UnsafeRawPointer(buffer.baseAddress)
            return count
        } catch {
            fault = .unreadable(errno: error.errno)
            return -1
        }
    }
}

private func readBlob(
    _: OpaquePointer?, stream: UnsafeMutableRawPointer?, piece: UnsafeMutablePointer<UnsafeRawPointer?>?
) -> la_ssize_t {
    guard let stream, let piece else { return -1 }
    return Unmanaged<LayerStream>.fromOpaque(stream).takeUnretainedValue().readPiece(piece)
}

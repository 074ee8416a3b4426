import CLayerUnpack
import Glibc

/// The entries of a tar stream. One thread's.
final class TarReader {
    private let stream: LayerStream
    private let archive: OpaquePointer
    private var isOpen = false

    init(_ stream: LayerStream) throws(LayerUnpackError) {
        guard let archive = archive_read_new() else { throw .damaged("out of memory") }
        self.stream = stream
        self.archive = archive
        archive_read_support_format_tar(archive)
        archive_read_support_format_empty(archive)
    }

    deinit { archive_read_free(archive) }

    /// The next entry, valid until the next call; nil at the archive's end.
    func next() throws(LayerUnpackError) -> TarEntry? {
        if !isOpen {
            let me = Unmanaged.passUnretained(stream).toOpaque()
            let result = archive_read_open(archive, me, nil, readStream, nil)
            if result != ARCHIVE_OK { throw stream.fault ?? .notATar }
            isOpen = true
            return try nextHeader(isFirst: true)
        }
        return try nextHeader(isFirst: false)
    }

    private func nextHeader(isFirst: Bool) throws(LayerUnpackError) -> TarEntry? {
        var entry: OpaquePointer?
        switch archive_read_next_header(archive, &entry) {
        case ARCHIVE_EOF: return nil
        case ARCHIVE_OK: break
        // A name that is not ASCII cannot be converted to the "C" locale, for which libarchive warns and keeps its
        // bytes. All other warnings are of damaged headers that it ignores, where names and sizes would come out wrong.
        case ARCHIVE_WARN where contains(message, "can't be converted from"): break
        default:
            if let fault = stream.fault { throw fault }
            if isFirst && archive_format(archive) == 0 { throw .notATar }
            throw .archive(message)
        }
        guard let entry else { throw .damaged("an entry is missing") }
        return TarEntry(entry)
    }

    /// Passes the entry's content on, piece by piece with its place in the file; what lies between pieces is a hole.
    func forEachPiece(
        of entry: TarEntry,
        _ body: (UnsafeRawBufferPointer, _ offset: Int64) throws(LayerUnpackError) -> Void
    ) throws(LayerUnpackError) {
        defer { stream.endsInPadding = false }
        var passedInBytes: Int64 = 0
        while true {
            var bytes: UnsafeRawPointer?
            var count = 0
            var offset: la_int64_t = 0
            stream.endsInPadding = !entry.isSparse && passedInBytes == entry.sizeInBytes
            switch archive_read_data_block(archive, &bytes, &count, &offset) {
            case ARCHIVE_EOF: return
            case ARCHIVE_OK:
                passedInBytes += Int64(count)
                try body(UnsafeRawBufferPointer(start: bytes, count: count), offset)
            default: throw stream.fault ?? .archive(message)
            }
        }
    }

    private var message: String { archive_error_string(archive).map { String(cString: $0) } ?? "" }
}

/// libarchive's read callback.
private func readStream(
    _: OpaquePointer?, stream: UnsafeMutableRawPointer?, piece: UnsafeMutablePointer<UnsafeRawPointer?>?
) -> la_ssize_t {
    guard let stream, let piece,
        let bytes = try? Unmanaged<LayerStream>.fromOpaque(stream).takeUnretainedValue().nextPadded()
    else { return -1 }
    piece.pointee = bytes.baseAddress
    return bytes.count
}

/// One entry's header, as libarchive holds it.
struct TarEntry {
    private let entry: OpaquePointer

    init(_ entry: OpaquePointer) { self.entry = entry }

    enum Kind { case file, directory, symbolicLink, characterDevice, blockDevice, fifo, socket, unknown }

    var kind: Kind {
        switch archive_entry_filetype(entry) {
        case S_IFREG: .file
        case S_IFDIR: .directory
        case S_IFLNK: .symbolicLink
        case S_IFCHR: .characterDevice
        case S_IFBLK: .blockDevice
        case S_IFIFO: .fifo
        case S_IFSOCK: .socket
        default: .unknown
        }
    }

    var path: UnsafePointer<CChar>? { archive_entry_pathname(entry) }
    var hardLink: UnsafePointer<CChar>? { archive_entry_hardlink(entry) }
    var symbolicLink: UnsafePointer<CChar>? { archive_entry_symlink(entry) }
    var permissions: mode_t { archive_entry_perm(entry) & 0o7777 }
    var owner: Int64 { archive_entry_uid(entry) }
    var group: Int64 { archive_entry_gid(entry) }
    var sizeInBytes: Int64 { archive_entry_size(entry) }
    var isSparse: Bool { archive_entry_sparse_count(entry) > 0 }
    var modified: timespec {
        timespec(
            tv_sec: archive_entry_mtime(entry), tv_nsec: min(max(archive_entry_mtime_nsec(entry), 0), 999_999_999))
    }
    var device: dev_t {
        lu_makedev(
            UInt32(truncatingIfNeeded: archive_entry_rdevmajor(entry)),
            UInt32(truncatingIfNeeded: archive_entry_rdevminor(entry)))
    }

    var hasAttributes: Bool {
        archive_entry_xattr_count(entry) > 0 || archive_entry_acl_types(entry) != 0
    }

    /// Extended attributes to set, access control lists among them in the kernel's encoding.
    func attributes() -> [ExtendedAttribute] {
        var result: [ExtendedAttribute] = []
        archive_entry_xattr_reset(entry)
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var count = 0
        while archive_entry_xattr_next(entry, &name, &value, &count) == ARCHIVE_OK {
            guard let name else { continue }
            let attribute = ExtendedAttribute(
                name: String(cString: name), value: Array(UnsafeRawBufferPointer(start: value, count: count)))
            if !attribute.isOverlay { result.append(attribute) }
        }
        for (type, name) in [
            (ARCHIVE_ENTRY_ACL_TYPE_ACCESS, ExtendedAttribute.accessList),
            (ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, ExtendedAttribute.defaultList),
        ] {
            let list = accessList(type)
            if !list.isEmpty { result.append(ExtendedAttribute(name: name, value: AccessListEntry.encode(list))) }
        }
        return result
    }

    private func accessList(_ wanted: Int32) -> [AccessListEntry] {
        guard archive_entry_acl_types(entry) & wanted != 0 else { return [] }
        archive_entry_acl_reset(entry, wanted)
        var list: [AccessListEntry] = []
        var type: Int32 = 0
        var permissions: Int32 = 0
        var tag: Int32 = 0
        var id: Int32 = -1
        var name: UnsafePointer<CChar>?
        while archive_entry_acl_next(entry, wanted, &type, &permissions, &tag, &id, &name) == ARCHIVE_OK {
            if let item = AccessListEntry(archiveTag: tag, permissions: permissions, id: id) { list.append(item) }
        }
        return list
    }
}

import CLayerUnpack
import Glibc

/// What became of a layer.
public struct UnpackedLayer: Equatable, Sendable {
    /// SHA-256 of the uncompressed tar stream to its last byte, 64 hex digits: image-spec config.md, "Layer DiffID".
    public var diffID = ""
    /// Entries of the archive, whiteouts included.
    public var entries: UInt64 = 0
    /// Bytes of file content written.
    public var contentInBytes: UInt64 = 0
    /// Directories that the archive has only for what lies in them (`ImplicitDirectory`).
    public var impliedDirectories: UInt64 = 0
}

/// Unpacks one image layer (image-spec layer.md) into an empty directory, as an overlay's layer: whiteouts become
/// overlayfs whiteouts, opaque markers become `trusted.overlay.opaque`.
///
/// The archive is hostile: nothing outside `directory` can be reached, whatever its entries say. What a valid layer
/// has, it gets: owners, modes, times, links, devices, extended attributes, access control lists and holes. Left out
/// are extended attributes `trusted.overlay.*` (they would speak to the overlay in the layer's name), file flags and
/// sockets. Blocks until done; needs `/proc` and the rights of root. Nothing is synced: that is the caller's, once.
///
/// - Parameters:
///   - blob: Read from its first byte by pread(2); tar, plain or compressed with gzip, zstd or xz.
///   - directory: An open directory of the filesystem to fill. An ext4's `lost+found` is taken away.
/// - Throws: `LayerUnpackError`; the directory then holds part of the layer.
public func unpackLayer(
    blob: Int32, sizeInBytes: UInt64, into directory: Int32
) throws(LayerUnpackError) -> UnpackedLayer {
    // In the "C" locale libarchive leaves names in the archive's own bytes; in any other it rewrites them (composed
    // accents, replacements for invalid UTF-8).
    let locale = lu_use_c_locale()
    defer { lu_restore_locale(locale) }

    let stream = try LayerStream(blob: blob, sizeInBytes: sizeInBytes)
    try stream.open()
    let reader = try TarReader(stream)
    let tree = LayerTree(root: directory)
    var result = UnpackedLayer()
    while let entry = try reader.next() {
        result.entries += 1
        try tree.add(entry, from: reader)
    }
    try tree.finish()
    result.contentInBytes = tree.contentInBytes
    result.impliedDirectories = tree.impliedDirectories
    result.diffID = try stream.finish()
    return result
}

import Glibc
import OCISpec
import System

/// The names of the store: `references.json`, replaced whole, under a lock.
struct References: Codable, Equatable {
    struct Entry: Codable, Equatable {
        /// The whole name as `ImageReference.description`; nil for an image that has none.
        var reference: String?
        var descriptor: Descriptor
        /// Seconds since the Unix epoch.
        var loaded: Int64
        /// Of what the name led to in its registry: an index, where the image is for several platforms.
        var source: String?
    }

    var images: [Entry] = []

    static func read(_ location: StoreLocation) throws -> References {
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try Files.read(location.references, limit: 64 << 20) } catch {
            if error.errno == ENOENT { return References() }
            throw error
        }
        do { return try OCIJSON.decode(References.self, from: bytes) } catch {
            throw ImageError(
                "the store's list of images, \(location.references), \(error); move it away and load the images again")
        }
    }

    /// Sets room aside for a shorter list, where there is any.
    static func keepReserve(_ location: StoreLocation) {
        guard !Files.exists(location.reserve),
            let file = try? FileDescriptor.open(location.reserve, O_WRONLY | O_CREAT | O_EXCL, mode: 0o644)
        else { return }
        if posix_fallocate(file.raw, 0, off_t(reserveInBytes)) != 0 { unlink(location.reserve) }
    }

    /// A hundred images and more.
    private static let reserveInBytes = 64 << 10

    /// Changes the list, one process at a time. What the list points at must be in the store already.
    /// - Parameter frees: whether that makes room, so that a full disk must not stand in its way: what is kept in reserve is
    ///   taken then.
    static func update<T>(
        _ location: StoreLocation, frees: Bool = false, _ body: (inout References) throws -> T
    ) throws -> T {
        let lock = try FileLock.acquire(location.referencesLock, .exclusive)
        defer { lock.release() }
        var references = try read(location)
        let before = references
        let result = try body(&references)
        if references != before {
            // A name must not outlive a crash that its content does not.
            try Files.syncDirectory(of: location.blobs + "/x")
            let bytes = try OCIJSON.encode(references, pretty: true)
            do throws(SystemError) { try Files.replace(location.references, bytes, mode: 0o644) } catch {
                guard frees, error.errno == ENOSPC || error.errno == EDQUOT, unlink(location.reserve) == 0 else {
                    throw ImageError.explaining(error, at: location.root, doing: "changing the list of images")
                }
                try Files.replace(location.references, bytes, mode: 0o644)
            }
        }
        return result
    }
}

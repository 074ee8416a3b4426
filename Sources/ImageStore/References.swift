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

    /// Changes the list, one process at a time. What the list points at must be in the store already.
    static func update<T>(_ location: StoreLocation, _ body: (inout References) throws -> T) throws -> T {
        let lock = try FileLock.acquire(location.referencesLock, .exclusive)
        defer { lock.release() }
        var references = try read(location)
        let before = references
        let result = try body(&references)
        if references != before {
            // A name must not outlive a crash that its content does not.
            try Files.syncDirectory(of: location.blobs + "/x")
            try Files.replace(location.references, try OCIJSON.encode(references, pretty: true), mode: 0o644)
        }
        return result
    }
}

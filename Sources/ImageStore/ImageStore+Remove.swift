import Glibc
import OCISpec
import System

extension ImageStore {
    /// Takes an image's name away; with the last name of an image goes what no other image uses. Layer disks that a
    /// sandbox has open stay until a later collection.
    /// - Parameter text: a name, or the beginning of an id, which removes all of that image's names.
    /// - Returns: the names removed, or the digest of an image without one.
    /// - Throws: `ImageError` when there is no such image.
    @discardableResult
    public func remove(_ text: String) throws -> [String] {
        let found = try entry(text)
        let byName = (try? ImageReference(text))?.description == found.reference && found.reference != nil
        let removed: [String] = try References.update(location) { references in
            let gone = references.images.filter {
                byName ? $0.reference == found.reference : $0.descriptor.digest == found.descriptor.digest
            }
            references.images.removeAll { gone.contains($0) }
            return gone.map { $0.reference ?? $0.descriptor.digest }
        }
        try collect(wait: true)
        return removed
    }

    /// What a pull left unfinished is kept for so long.
    private static let longestPauseOfAPullInSeconds: Int64 = 24 * 60 * 60

    /// Removes content that no image names, layer disks that none uses, and what crashes left behind.
    /// - Parameter wait: whether to wait for loads and builds under way; else they make this do nothing.
    /// - Returns: bytes of content removed.
    @discardableResult
    public func collect(wait: Bool = true) throws -> Int64 {
        var held = try FileLock.tryAcquire(location.lock, .exclusive)
        if held == nil {
            guard wait else { return 0 }
            note("waiting for another image to be loaded or unpacked")
            held = try FileLock.acquire(location.lock, .exclusive)
        }
        defer { held?.release() }

        var blobs: Set<String> = []
        var disks: Set<String> = []
        for entry in try References.read(location).images {
            guard let manifestDigest = Digest(entry.descriptor.digest) else { continue }
            blobs.insert(manifestDigest.hex)
            // An unreadable manifest keeps what it may name: removing it on a guess would be worse than keeping it.
            let manifest: ImageManifest
            do {
                manifest = try OCIJSON.decode(
                    ImageManifest.self, from: content.document(manifestDigest, what: "manifest"))
            } catch {
                note("nothing was collected: \(error)")
                return 0
            }
            for descriptor in [manifest.config] + manifest.layers {
                if let digest = Digest(descriptor.digest) { blobs.insert(digest.hex) }
            }
            if let image = try? image(entry) { disks.formUnion(image.layers.map(\.diffID.hex)) }
        }
        var freed: Int64 = 0
        for name in try Files.list(location.blobs) where !blobs.contains(name) {
            var info = stat()
            let path = "\(location.blobs)/\(name)"
            if lstat(path, &info) == 0, unlink(path) == 0 { freed += Int64(info.st_size) }
        }
        freed += try LayerCache(location, note: note).collect(keeping: disks)
        try PartialBlob.collect(location, olderThan: Self.longestPauseOfAPullInSeconds)
        for name in try Files.list(location.temporary) {
            let path = "\(location.temporary)/\(name)"
            // Whoever is alive holds the lock inside.
            guard let lock = try? FileLock.tryAcquire(path + "/lock", .exclusive) else { continue }
            try? Files.removeTree(path)
            lock.release()
        }
        // Lists that were being written when their writer died.
        let references = try FileLock.acquire(location.referencesLock, .exclusive)
        defer { references.release() }
        for name in try Files.list(location.root) where name.hasPrefix("references.json.tmp.") {
            unlink("\(location.root)/\(name)")
        }
        return freed
    }
}

import OCISpec
import Storage
import System

/// What some images are made of, as file names in the store.
struct NeededContent {
    /// Manifests, configurations and layers.
    var blobs: Set<String> = []
    /// Layer disks, without their suffix; nil when a configuration cannot be read, which alone knows them.
    var disks: Set<String>? = []
}

extension ImageStore {
    /// - Throws: `ImageError` when a manifest cannot be read.
    func needed(by entries: [References.Entry]) throws -> NeededContent {
        var needed = NeededContent()
        for entry in entries {
            let manifest = try self.manifest(entry)
            for text in [entry.descriptor.digest, manifest.config.digest] + manifest.layers.map(\.digest) {
                if let digest = Digest(text) { needed.blobs.insert(digest.hex) }
            }
            if let image = try? image(entry) {
                needed.disks?.formUnion(image.layers.map(\.diffID.hex))
            } else {
                needed.disks = nil
            }
        }
        return needed
    }

    /// Whether a sandbox runs on the image: it holds the disk of its uppermost layer.
    public func isUsed(_ image: StoredImage) -> Bool {
        guard let top = image.layers.last else { return false }
        return FileLock.isHeld(LayerCache(location).path(top.diffID))
    }

    func isUsed(_ entry: References.Entry) -> Bool { (try? image(entry)).map { isUsed($0) } ?? false }
}

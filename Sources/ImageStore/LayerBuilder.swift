import Glibc
import OCISpec
import Storage
import System

/// Whoever unpacks layers: a sandbox made for it, since a layer's tar is hostile input and the host never opens one.
public protocol LayerBuilder: Sendable {
    /// Unpacks each job's layer onto its disk. The order is the image's; jobs do not depend on each other.
    /// - Returns: one result a job, in the same order.
    func unpack(_ jobs: [UnpackJob]) throws -> [UnpackResult]
}

/// One layer to unpack.
public struct UnpackJob: Sendable, Equatable {
    /// The layer as it came.
    public let blobPath: String
    /// Of the blob, in bytes. A disk's size is whole sectors: what the guest reads beyond this is not the layer's.
    public let blobSizeInBytes: Int64
    public let compression: LayerCompression
    /// What the uncompressed tar must hash to.
    public let expectedDiffID: Digest
    /// An empty ext4 filesystem to unpack to.
    public let diskPath: String
}

/// What a builder found.
public struct UnpackResult: Sendable, Equatable {
    /// Of the tar it read.
    public let diffID: Digest
    public let entries: Int64
    /// Of file content.
    public let bytes: Int64

    public init(diffID: Digest, entries: Int64, bytes: Int64) {
        self.diffID = diffID
        self.entries = entries
        self.bytes = bytes
    }
}

extension ImageStore {
    /// The image's layers as disks, lowest first, unpacked where they are not yet. They stay while the objects live.
    ///
    /// A layer that an image has more than once comes once, where it is uppermost: what it holds and hides there, it held
    /// and hid before, and overlayfs takes no directory twice.
    /// - Throws: what the builder throws; `ImageError` for a layer that is not what the image promises. Disks of layers
    ///   that did come out well are kept.
    public func ensureLayers(_ image: StoredImage, builder: any LayerBuilder) throws -> [LayerDisk] {
        guard image.config.platform.runsHere else {
            throw ImageError("image \(image.displayName) is for \(image.config.platform), and does not run here")
        }
        let cache = LayerCache(location, note: note)
        var disks: [Digest: LayerDisk] = [:]
        for layer in image.layers { disks[layer.diffID] = cache.ready(layer.diffID) }
        let missing = image.layers.filter { disks[$0.diffID] == nil }
        if !missing.isEmpty {
            // Keeps the blobs while they are read.
            let lock = try FileLock.acquire(location.lock, .shared)
            defer { lock.release() }
            disks.merge(try unpack(missing, builder: builder)) { $1 }
            lock.release()
            if isCollectionWanted { _ = try? collect() }
        }
        var seen: Set<Digest> = []
        return try image.layers.reversed().filter { seen.insert($0.diffID).inserted }.reversed().map { layer in
            guard let disk = disks[layer.diffID] else { throw ImageError("layer \(layer.digest) was not unpacked") }
            return disk
        }
    }

    /// Layers as disks, by diffID, unpacked where they are not yet. The caller keeps their blobs from being collected.
    func unpack(_ layers: [StoredImage.Layer], builder: any LayerBuilder) throws -> [Digest: LayerDisk] {
        let cache = LayerCache(location, note: note)
        var disks: [Digest: LayerDisk] = [:]
        var missing: [Digest: StoredImage.Layer] = [:]
        for layer in layers { missing[layer.diffID] = layer }
        var slots: [Digest: LayerCache.BuildSlot] = [:]
        defer { for slot in slots.values { slot.abandon() } }
        // In one order by all, so that two processes never wait for each other.
        for diffID in missing.keys.sorted(by: { $0.hex < $1.hex }) {
            guard let layer = missing[diffID] else { continue }
            switch try cache.begin(layer) {
            case .ready(let disk): disks[diffID] = disk
            case .build(let slot): slots[diffID] = slot
            }
        }
        var seen: Set<Digest> = []
        let ordered = layers.compactMap { seen.insert($0.diffID).inserted ? slots[$0.diffID] : nil }
        guard !ordered.isEmpty else { return disks }
        let jobs = try ordered.map { slot in
            guard content.has(slot.layer.digest, size: slot.layer.size) else {
                throw ImageError(
                    "layer \(slot.layer.digest) is missing from the store or cut short; \(Self.bringsBack)")
            }
            return UnpackJob(
                blobPath: location.blob(slot.layer.digest), blobSizeInBytes: slot.layer.size,
                compression: slot.layer.compression, expectedDiffID: slot.layer.diffID, diskPath: slot.path)
        }
        let results: [UnpackResult]
        do { results = try builder.unpack(jobs) } catch { throw discardDamaged(ordered.map(\.layer.digest)) ?? error }
        guard results.count == jobs.count else {
            throw ImageError("the builder answered for \(results.count) of \(jobs.count) layers")
        }
        for (slot, result) in zip(ordered, results) {
            // Where one is, look at all: whoever mends them mends them at once.
            if result.diffID != slot.layer.diffID, let rotten = discardDamaged(ordered.map(\.layer.digest)) {
                throw rotten
            }
            disks[slot.layer.diffID] = try slot.commit(
                LayerCache.Unpacked(diffID: result.diffID, entries: result.entries, bytes: result.bytes))
        }
        return disks
    }

    static let mends = "\"cloister image verify --repair\" removes what is, and then \(bringsBack)"
    static let bringsBack = "\"cloister pull\" or \"cloister image load\" brings it back"

    /// Removes the blobs whose content is not what their names say, so that the next pull or load replaces them.
    /// - Returns: what to say of one; nil when all are whole.
    private func discardDamaged(_ digests: [Digest]) -> ImageError? {
        var damaged: [Digest] = []
        for digest in digests where content.isDamaged(digest) {
            unlink(location.blob(digest))
            damaged.append(digest)
        }
        return damaged.first.map {
            ImageError(
                "layer \($0) was damaged in the store and is removed from it; \(Self.bringsBack), and "
                    + "\"cloister image verify\" says whether anything else is damaged")
        }
    }
}

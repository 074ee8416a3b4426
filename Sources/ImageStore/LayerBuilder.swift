import Glibc
import OCISpec
import Storage
import System

/// Whoever unpacks layers: a sandbox made for it, since a layer's tar is hostile input and the host never opens one.
public protocol LayerBuilder: Sendable {
    /// Unpacks each job's layer onto its disk, one after the other.
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
    /// The disks of the layers below, lowest first: finished ones, or of jobs before this one. nil where one is missing.
    public let disksBelow: [String]?
}

/// What a builder found.
public struct UnpackResult: Sendable, Equatable {
    /// Of the tar it read.
    public let diffID: Digest
    public let entries: Int64
    /// Of file content.
    public let bytes: Int64
    public let completeness: Completeness

    /// Over which layers the disk's directories are as its image shows them: some have their owner and mode from the layers
    /// below, where their own layer has them only for what lies in them.
    public enum Completeness: Sendable {
        case anywhere
        /// Those of the job.
        case here
        case nowhere
    }

    public init(diffID: Digest, entries: Int64, bytes: Int64, completeness: Completeness) {
        self.diffID = diffID
        self.entries = entries
        self.bytes = bytes
        self.completeness = completeness
    }
}

extension ImageStore {
    /// The image's layers as disks, lowest first, unpacked where they are not yet. They stay while the objects live.
    /// - Throws: what the builder throws; `ImageError` for a layer that is not what the image promises. Disks of layers
    ///   that did come out well are kept.
    public func ensureLayers(_ image: StoredImage, builder: any LayerBuilder) throws -> [ImageLayer] {
        guard image.config.platform.runsHere else {
            throw ImageError("image \(image.displayName) is for \(image.config.platform), and does not run here")
        }
        let cache = LayerCache(location, note: note)
        let stack = image.layers.stacked
        var disks: [Digest: LayerCache.Finished] = [:]
        for layer in stack { disks[layer.diffID] = cache.ready(layer.diffID) }
        let missing = stack.filter { disks[$0.diffID] == nil }
        if !missing.isEmpty {
            // Keeps the blobs while they are read.
            let lock = try FileLock.acquire(location.lock, .shared)
            defer { lock.release() }
            disks.merge(try unpack(missing, of: stack, builder: builder)) { $1 }
            lock.release()
            if isCollectionWanted { _ = try? collect() }
        }
        return try zip(stack, stack.chainsBelow).map { layer, chain in
            guard let known = disks[layer.diffID] else { throw ImageError("layer \(layer.digest) was not unpacked") }
            return ImageLayer(disk: known.disk, isComplete: known.unpacked.isComplete(over: chain))
        }
    }

    /// Layers as disks, by diffID, unpacked where they are not yet. The caller keeps their blobs from being collected.
    /// - Parameters:
    ///   - stack: all layers of the image, `stacked`.
    ///   - again: blobs of layers that are unpacked anew unless their disks are complete over some layers.
    func unpack(
        _ layers: [StoredImage.Layer], of stack: [StoredImage.Layer], again: Set<Digest> = [], builder: any LayerBuilder
    ) throws -> [Digest: LayerCache.Finished] {
        let cache = LayerCache(location, note: note)
        var disks: [Digest: LayerCache.Finished] = [:]
        var missing: [Digest: StoredImage.Layer] = [:]
        for layer in layers { missing[layer.diffID] = layer }
        var slots: [Digest: LayerCache.BuildSlot] = [:]
        defer { for slot in slots.values { slot.abandon() } }
        // In one order by all, so that two processes never wait for each other.
        for diffID in missing.keys.sorted(by: { $0.hex < $1.hex }) {
            guard let layer = missing[diffID] else { continue }
            switch try cache.begin(layer, again: again.contains(layer.digest)) {
            case .ready(let disk): disks[diffID] = disk
            case .build(let slot): slots[diffID] = slot
            }
        }
        let ordered = stack.compactMap { slots[$0.diffID] }
        guard !ordered.isEmpty else { return disks }
        for layer in stack where slots[layer.diffID] == nil && disks[layer.diffID] == nil {
            disks[layer.diffID] = cache.ready(layer.diffID)
        }
        let paths = stack.map { slots[$0.diffID]?.path ?? disks[$0.diffID]?.disk.path }
        let jobs = try ordered.map { slot in
            guard content.has(slot.layer.digest, size: slot.layer.size) else {
                throw ImageError(
                    "layer \(slot.layer.digest) is missing from the store or cut short; \(Self.bringsBack)")
            }
            let below = paths.prefix { $0 != slot.path }
            return UnpackJob(
                blobPath: location.blob(slot.layer.digest), blobSizeInBytes: slot.layer.size,
                compression: slot.layer.compression, expectedDiffID: slot.layer.diffID, diskPath: slot.path,
                disksBelow: below.contains(nil) ? nil : below.compactMap(\.self))
        }
        let results: [UnpackResult]
        do { results = try builder.unpack(jobs) } catch { throw discardDamaged(ordered.map(\.layer.digest)) ?? error }
        guard results.count == jobs.count else {
            throw ImageError("the builder answered for \(results.count) of \(jobs.count) layers")
        }
        let chains = Dictionary(uniqueKeysWithValues: zip(stack.map(\.diffID), stack.chainsBelow))
        for (slot, result) in zip(ordered, results) {
            // Where one is, look at all: whoever mends them mends them at once.
            if result.diffID != slot.layer.diffID, let rotten = discardDamaged(ordered.map(\.layer.digest)) {
                throw rotten
            }
            disks[slot.layer.diffID] = try slot.commit(
                LayerCache.Unpacked(result, over: chains[slot.layer.diffID]))
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

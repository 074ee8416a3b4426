import Glibc
import OCISpec
import Storage
import System

/// Layers unpacked into read-only disks, by diffID, each once a machine however many images and sandboxes use it.
///
/// `<hex>.img` counts only with `<hex>.json` beside it, which is written last and renamed into place, and only while it
/// is what that file remembers (`DiskProof`). `<hex>.building` is a disk under way; whoever builds it holds `<hex>.lock`.
public struct LayerCache: Sendable {
    let location: StoreLocation
    let note: @Sendable (String) -> Void

    public init(_ location: StoreLocation, note: @escaping @Sendable (String) -> Void = { _ in }) {
        self.location = location
        self.note = note
    }

    /// What a disk was made of.
    public struct Unpacked: Codable, Equatable, Sendable {
        public var diffID: String
        public var entries: Int64
        /// Of file content.
        public var bytes: Int64
        /// The layers below over which its directories are as an image shows them (`UnpackResult.Completeness`): their
        /// chainID, or `any`; nil for none, or where it is not known.
        public var completeOver: String?

        /// - Parameter chain: of the layers below, in the image that it was unpacked for.
        init(_ result: UnpackResult, over chain: String?) {
            diffID = result.diffID.description
            entries = result.entries
            bytes = result.bytes
            switch result.completeness {
            case .anywhere: completeOver = "any"
            case .here: completeOver = chain
            case .nowhere: completeOver = nil
            }
        }

        func isComplete(over chain: String) -> Bool { completeOver == "any" || completeOver == chain }
    }

    public struct Finished: Sendable {
        public let disk: LayerDisk
        let unpacked: Unpacked
    }

    struct Sidecar: Codable, Equatable {
        var format: Int
        var layerDigest: String
        var unpacked: Unpacked
        var proof: DiskProof
        /// Of all its content (`DiskContent`), for whoever has the time to read it; nil for disks of before.
        var contentDigest: String?
    }

    /// Raised when disks are made in another way, so that those of before are made anew.
    static let format = 2

    public func path(_ diffID: Digest) -> String { "\(location.layers)/\(diffID.hex).img" }
    private func sidecar(_ diffID: Digest) -> String { "\(location.layers)/\(diffID.hex).json" }

    /// The finished disk, locked against removal; nil when it is missing, half made or damaged.
    public func ready(_ diffID: Digest) -> Finished? {
        guard let bytes = try? Files.read(sidecar(diffID), limit: 1 << 20),
            let known = try? OCIJSON.decode(Sidecar.self, from: bytes), known.format == Self.format,
            known.unpacked.diffID == diffID.description, let disk = try? LayerDisk(path(diffID)),
            let proof = try? DiskProof(of: disk.path), proof == known.proof
        else { return nil }
        return Finished(disk: disk, unpacked: known.unpacked)
    }

    /// What is wrong with a finished disk, all of its metadata read; nil when nothing is found.
    func problem(_ diffID: Digest) throws -> String? {
        guard let bytes = try? Files.read(sidecar(diffID), limit: 1 << 20),
            let known = try? OCIJSON.decode(Sidecar.self, from: bytes), known.unpacked.diffID == diffID.description
        else { return "has a proof that cannot be read" }
        // One of before, which the next run replaces.
        guard known.format == Self.format else { return nil }
        let proof = try DiskProof(of: path(diffID))
        if proof.sizeInBytes != known.proof.sizeInBytes {
            return "has \(proof.sizeInBytes) bytes where it had \(known.proof.sizeInBytes)"
        }
        if proof.modifiedInNanoseconds != known.proof.modifiedInNanoseconds {
            return "was written to after it was made"
        }
        if proof != known.proof { return "has other content than it had when it was made" }
        if let digest = known.contentDigest, try DiskContent.digest(of: path(diffID)).description != digest {
            return "has other content than it had when it was made"
        }
        return try Ext4Image.check(path(diffID)).map { "has a damaged filesystem: \($0)" }
    }

    /// Makes a disk be no more. Sandboxes that have it open keep it until they end.
    func discard(_ diffID: Digest) {
        // The proof goes first: without it, the disk is nothing.
        unlink(sidecar(diffID))
        unlink(path(diffID))
    }

    public enum Beginning {
        case ready(Finished)
        case build(BuildSlot)
    }

    /// The disk, or the right to build it, which one holder has at a time: others wait here until it is committed or
    /// given up, by a crash as well.
    /// - Parameter again: whether a disk that is complete over no layers is built anew.
    /// - Throws: `ImageError` when the disk cannot be made, such as for want of space.
    public func begin(_ layer: StoredImage.Layer, again: Bool = false) throws -> Beginning {
        func ready() -> Finished? {
            self.ready(layer.diffID).flatMap { again && $0.unpacked.completeOver == nil ? nil : $0 }
        }
        if let disk = ready() { return .ready(disk) }
        let lockPath = "\(location.layers)/\(layer.diffID.hex).lock"
        let lock = try FileLock.acquire(lockPath, .exclusive) {
            note("waiting for layer \(layer.diffID.short), which another cloister is unpacking")
        }
        if let disk = ready() { return .ready(disk) }
        if !again, Files.exists(path(layer.diffID)), Files.exists(sidecar(layer.diffID)) {
            note("layer \(layer.diffID.short)'s disk is damaged and is unpacked anew")
        }
        // The proof goes first: without it, the disk is nothing.
        unlink(sidecar(layer.diffID))
        let building = "\(location.layers)/\(layer.diffID.hex).building"
        do {
            try Files.removeTree(building)
            try Ext4Image.make(building, sizeInBytes: Self.diskSizeInBytes(for: layer))
        } catch {
            throw ImageError.explaining(error, at: location.layers, doing: "unpacking layer \(layer.digest)")
        }
        return .build(BuildSlot(cache: self, layer: layer, path: building, lock: lock))
    }

    /// How large the guest sees the disk of a layer: enough for what it can honestly hold, and no more, since a layer
    /// made to explode fills its disk and the host pays for it. Compressed layers grow three to ten times; the rest is
    /// for many small files, which take a whole block each.
    static func diskSizeInBytes(for layer: StoredImage.Layer) -> Int64 {
        let factor: Int64 = layer.compression == .none ? 12 : 64
        return min(max(layer.size.multipliedReportingOverflow(by: factor).partialValue, 1 << 30), largestDiskInBytes)
    }

    static let largestDiskInBytes: Int64 = 16 << 30

    /// The right to build one layer's disk. Given up with the object: what was not committed is removed.
    public final class BuildSlot {
        public let layer: StoredImage.Layer
        /// An empty ext4 filesystem, to be filled.
        public let path: String
        private let cache: LayerCache
        private let lock: FileLock
        private var finished = false

        init(cache: LayerCache, layer: StoredImage.Layer, path: String, lock: FileLock) {
            self.cache = cache
            self.layer = layer
            self.path = path
            self.lock = lock
        }

        deinit { abandon() }

        /// Gives the right up and removes the disk. Does nothing after `commit`.
        public func abandon() {
            guard !finished else { return }
            finished = true
            unlink(path)
            lock.release()
        }

        /// Makes the filled disk the layer's, for good.
        /// - Throws: `ImageError` when the guest found another tar than the image promises; `SystemError`.
        public func commit(_ unpacked: Unpacked) throws -> Finished {
            guard unpacked.diffID == layer.diffID.description else {
                throw ImageError(
                    "layer \(layer.digest) unpacks to \(unpacked.diffID) where its image promises \(layer.diffID); the image "
                        + "is damaged or forged")
            }
            let image = cache.path(layer.diffID)
            let file = try FileDescriptor.open(path, O_RDONLY)
            let fd = file.raw
            // QEMU's user had it to write; from now on nobody writes.
            if geteuid() == 0 { try syscall("fchown", path) { fchown(fd, 0, 0) } }
            try syscall("fchmod", path) { fchmod(fd, 0o444) }
            // By the processor, while the disk writes: nearly for nothing.
            let hashed = Guarded<Result<Digest, any Error>?>(nil)
            let path = path
            Thread.start("layer-digest") {
                let result = Result { try DiskContent.digest(of: path) }
                hashed.withLock { $0 = result }
            }
            try syscall("fsync", path) { fsync(fd) }
            let digest = try hashed.wait { $0 }?.get()
            let proof = try DiskProof(of: path)
            try syscall("rename", image) { rename(path, image) }
            let sidecar = Sidecar(
                format: LayerCache.format, layerDigest: layer.digest.description, unpacked: unpacked, proof: proof,
                contentDigest: digest?.description)
            // Syncs the directory too, and so the disk's own name.
            try Files.replace(cache.sidecar(layer.diffID), try OCIJSON.encode(sidecar, pretty: true), mode: 0o644)
            finished = true
            let disk = try LayerDisk(image)
            lock.release()
            return Finished(disk: disk, unpacked: unpacked)
        }
    }

    /// Removes disks that no image needs and that nothing uses, and what builders left when they died.
    /// - Returns: bytes of disk freed.
    func collect(keeping: Set<String>) throws -> Int64 {
        var freed: Int64 = 0
        for name in Set(try Files.list(location.layers).map { String($0.prefix { $0 != "." }) }) {
            guard Digest(hex: name) != nil else { continue }
            let base = "\(location.layers)/\(name)"
            // Held: under way, and not ours to touch.
            guard let lock = try? FileLock.tryAcquire(base + ".lock", .exclusive) else { continue }
            defer { lock.release() }
            for leftover in try Files.list(location.layers)
            where leftover.hasPrefix(name) && (leftover.hasSuffix(".building") || leftover.contains(".tmp.")) {
                unlink("\(location.layers)/\(leftover)")
            }
            if keeping.contains(name) { continue }
            guard let bytes = LayerDisk.removeUnlessUsed(base + ".img") else { continue }
            freed += bytes
            unlink(base + ".json")
            unlink(base + ".lock")
        }
        return freed
    }
}

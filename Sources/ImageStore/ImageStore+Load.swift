import Glibc
import OCISpec
import System

extension ImageStore {
    /// What `load` brought in.
    public struct Loaded: Sendable, Equatable {
        /// nil for an image that came without a name.
        public let reference: ImageReference?
        public let manifestDigest: Digest
        public let configDigest: Digest
    }

    /// Brings in all images of a file or directory: OCI layout (directory or tar), or docker-archive, tars compressed or
    /// not. All or nothing: what fails leaves no name behind.
    /// - Parameters:
    ///   - path: the file or directory.
    ///   - name: what to call the image instead of what the archive says; for an archive of one image.
    ///   - platform: of those that images are for; nil for this machine's.
    /// - Throws: `ImageError`, one sentence that names the thing and the remedy.
    @discardableResult
    public func load(from path: String, name: String? = nil, platform: Platform? = nil) throws -> [Loaded] {
        let override = try name.map { try names.reference($0) }
        var info = stat()
        guard stat(path, &info) == 0 else {
            throw ImageError("\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        do {
            // Shared with other loads; keeps a collection from taking content that has no name yet.
            let lock = try FileLock.acquire(location.lock, .shared)
            defer { lock.release() }
            let area = try TemporaryArea(location)
            let source: any ImageSource =
                info.st_mode & S_IFMT == S_IFDIR ? try DirectorySource(path) : try ArchiveSource(path)
            // Who chooses the name need not hear what it would have been.
            var plans = try plan(source, isNamed: override != nil, WantedPlatform(asked: platform))
            if let override {
                guard plans.count == 1 else {
                    throw ImageError("\(path) holds \(plans.count) images; --name is for one of a single image")
                }
                plans[0].references = [override]
            }
            try fetchLayers(of: &plans, from: source, area)
            let loaded = try publish(plans, area)
            lock.release()
            // Names may have moved from older images. Not worth waiting for.
            _ = try? collect()
            return loaded
        } catch { throw ImageError.explaining(error, at: location.root, doing: "loading \(path)") }
    }

    private func plan(
        _ source: any ImageSource, isNamed: Bool, _ platform: WantedPlatform
    ) throws -> [LoadPlan] {
        let plans: [LoadPlan]
        if let index = try source.document("index.json") {
            plans = try OCILayoutPlanner(source: source, names: names, platform: platform) { [note] in
                if !isNamed { note($0) }
            }.plan(
                index)
        } else if let manifest = try source.document("manifest.json") {
            plans = try DockerArchivePlanner(source: source, names: names, platform: platform, note: note).plan(
                manifest)
        } else {
            throw ImageError(
                "\(source.path) is not an image: it has neither index.json (OCI layout) nor manifest.json (docker save)"
            )
        }
        guard !plans.isEmpty else { throw ImageError("\(source.path) holds no image") }
        guard plans.count <= Limits.images else {
            throw ImageError("\(source.path) holds \(plans.count) images; \(Limits.images) at once are the most")
        }
        return plans
    }

    /// Stores the layers that are not in the store yet.
    private func fetchLayers(of plans: inout [LoadPlan], from source: any ImageSource, _ area: TemporaryArea) throws {
        var wanted: [String: LoadPlan.Layer] = [:]
        var needed: Int64 = 0
        for layer in plans.flatMap(\.layers) where wanted[layer.piece] == nil {
            // Read whole: what rotted since it came is replaced now that there is another.
            if content.has(layer.expected, size: layer.expectedSize), !content.isDamaged(layer.expected) { continue }
            guard let size = try source.size(of: layer.piece) else {
                throw ImageError("\(source.path) lacks layer \(layer.expected); copy or save the image again")
            }
            guard size <= Limits.layerInBytes else {
                throw ArchiveReader.tooLarge("layer \(layer.expected)", size, limit: Int(Limits.layerInBytes))
            }
            if let expected = layer.expectedSize, expected != size {
                throw ImageError(
                    "layer \(layer.expected) of \(source.path) has \(size) bytes where its manifest says \(expected); "
                        + "copy or save the image again")
            }
            needed += size
            wanted[layer.piece] = layer
        }
        try checkRoom(for: needed, source.path)
        var found: [String: (digest: Digest, size: Int64, compression: LayerCompression)] = [:]
        try source.stream(Set(wanted.keys)) { piece, reader in
            guard let layer = wanted[piece] else { return }
            let stored = try store(layer, reader, source.path, area)
            // Several names of the same piece were asked for as one.
            for (other, plan) in wanted where plan.expected == layer.expected { found[other] = stored }
        }
        for (piece, layer) in wanted where found[piece] == nil && !content.has(layer.expected) {
            throw ImageError("\(source.path) lacks layer \(layer.expected); copy or save the image again")
        }
        for index in plans.indices {
            for number in plans[index].layers.indices {
                let layer = plans[index].layers[number]
                plans[index].layers[number].found =
                    found[layer.piece] ?? (layer.expected, content.size(layer.expected) ?? 0, .none)
            }
        }
    }

    private func store(
        _ layer: LoadPlan.Layer, _ piece: any Piece, _ path: String, _ area: TemporaryArea
    ) throws -> (Digest, Int64, LayerCompression) {
        let writer = try BlobWriter(in: area)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        var compression: LayerCompression?
        while true {
            let count = try piece.read(into: buffer)
            if count == 0 { break }
            guard writer.size + Int64(count) <= piece.size else {
                throw ImageError("\(path) is damaged: a layer is longer than it says")
            }
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            if compression == nil { compression = LayerCompression(magic: bytes) }
            try writer.write(bytes)
        }
        guard writer.size == piece.size else { throw piece.truncated() }
        let digest = try writer.finish()
        // A docker-archive knows a layer by its uncompressed digest alone; when it is compressed after all, only the
        // guest that unpacks it can tell.
        let checkable = !layer.isDiffID || compression == LayerCompression.none || compression == nil
        guard digest == layer.expected || !checkable else {
            throw ImageError(
                "layer \(layer.expected) of \(path) is damaged: its content is \(digest); copy or save the image again")
        }
        try writer.publish(digest, to: content)
        return (digest, writer.size, compression ?? .none)
    }

    func checkRoom(for bytes: Int64, _ path: String) throws {
        var info = statvfs()
        if bytes > 0, let limit = limitInBytes {
            let kept = try contentInBytes()
            guard kept + bytes <= limit else {
                throw ImageError(
                    "\(path) does not fit the image store: \(humanSize(bytes)) to come and \(humanSize(kept)) there are "
                        + "more than image_store_limit, \(humanSize(limit)); remove images with \"cloister image prune -a\" "
                        + "or raise it")
            }
        }
        guard bytes > 0, statvfs(location.root, &info) == 0 else { return }
        let free = Int64(
            clamping: UInt64(info.f_bavail).multipliedReportingOverflow(by: UInt64(info.f_frsize)).partialValue)
        guard free >= bytes else {
            throw ImageError(
                "no space left on \(location.root) for \(path): it needs \(humanSize(bytes)) and \(humanSize(free)) are free; "
                    + "free space there, remove images with \"cloister image remove\", or set CLOISTER_DATA to a directory "
                    + "on a larger disk")
        }
    }

    /// Writes manifests and configurations, then the names.
    func publish(_ plans: [LoadPlan], _ area: TemporaryArea) throws -> [Loaded] {
        var entries: [References.Entry] = []
        var loaded: [Loaded] = []
        let now = Clock.realtime.components.seconds
        for plan in plans {
            let manifest = try plan.finishedManifest()
            let digest = try content.put(manifest, in: area)
            let configDigest = try content.put(plan.config, in: area)
            let parsed = try OCIJSON.decode(ImageManifest.self, from: manifest)
            let descriptor = Descriptor(
                mediaType: parsed.mediaType ?? MediaType.manifest, digest: digest.description,
                size: Int64(manifest.count))
            for reference in plan.references.isEmpty ? [nil] : plan.references.map(Optional.some) {
                let entry = References.Entry(
                    reference: reference?.description, descriptor: descriptor, loaded: now,
                    source: plan.source?.description)
                // Read it back the way everyone will: nothing gets a name that cannot be resolved.
                _ = try image(entry)
                entries.append(entry)
                loaded.append(Loaded(reference: reference, manifestDigest: digest, configDigest: configDigest))
            }
        }
        try References.update(location) { references in
            for entry in entries {
                let former = references.images.first {
                    $0.reference == entry.reference
                        && (entry.reference != nil || $0.descriptor.digest == entry.descriptor.digest)
                }
                references.images.removeAll { $0 == former }
                if let former { keep(former, insteadOf: entry, in: &references) }
                // A nameless image that now has a name is no longer nameless.
                if entry.reference != nil {
                    references.images.removeAll {
                        $0.reference == nil && $0.descriptor.digest == entry.descriptor.digest
                    }
                } else if references.images.contains(where: { $0.descriptor.digest == entry.descriptor.digest }) {
                    continue
                }
                references.images.append(entry)
            }
        }
        return loaded
    }

    /// An image that loses its name to the same for another platform stays, without one, until it is pruned: it was not
    /// replaced by a newer one.
    private func keep(_ former: References.Entry, insteadOf entry: References.Entry, in references: inout References) {
        let isElsewhere = references.images.contains { $0.descriptor.digest == former.descriptor.digest }
        guard former.descriptor.digest != entry.descriptor.digest, !isElsewhere, let old = try? image(former),
            let new = try? image(entry), old.config.platform != new.config.platform
        else { return }
        var nameless = former
        nameless.reference = nil
        references.images.append(nameless)
    }
}

extension LayerCompression {
    /// From a stream's first bytes (RFC 1952, RFC 8878).
    init(magic bytes: UnsafeRawBufferPointer) {
        if bytes.starts(with: [0x1f, 0x8b]) {
            self = .gzip
        } else if bytes.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) {
            self = .zstd
        } else {
            self = .none
        }
    }
}

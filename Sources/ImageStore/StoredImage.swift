import OCISpec

/// An image in the store.
public struct StoredImage: Sendable, Equatable {
    /// nil when it was loaded without a name.
    public let reference: ImageReference?
    public let manifestDigest: Digest
    public let configDigest: Digest
    public let config: ImageConfig
    /// Lowest first.
    public let layers: [Layer]
    /// Seconds since the Unix epoch.
    public let loaded: Int64

    /// A layer as it came, in the store.
    public struct Layer: Sendable, Equatable {
        public let digest: Digest
        public let mediaType: String
        public let compression: LayerCompression
        /// In bytes, compressed.
        public let size: Int64
        /// The digest of its tar, uncompressed.
        public let diffID: Digest
        /// Where else than in its registry it may be had: of layers that may not be passed on.
        public let urls: [String]
    }

    /// All content, in bytes as stored.
    public var size: Int64 { layers.reduce(0) { $0 + $1.size } }

    /// The name to show, or the digest.
    public let displayName: String
    /// `displayName` without tag and digest.
    public var displayRepository: String { String(displayName.dropLast(reference?.suffix.count ?? 0)) }

    /// Puts a manifest and its configuration together, checking that they agree.
    /// - Throws: `ImageError` for an image without layers, with too many, or with one of an unknown type.
    init(
        name: String, reference: ImageReference?, manifestDigest: Digest, manifest: ImageManifest, configDigest: Digest,
        config: ImageConfig, loaded: Int64
    ) throws {
        let diffIDs = config.rootfs.diff_ids
        guard !manifest.layers.isEmpty else {
            throw ImageError("image \(name) has no layers, so there is nothing to run in it")
        }
        guard manifest.layers.count <= Limits.layers else {
            throw ImageError(
                "image \(name) has \(manifest.layers.count) layers; \(Limits.layers) is the most that can be stacked")
        }
        guard manifest.layers.count == diffIDs.count else {
            throw ImageError(
                "image \(name) is inconsistent: its manifest has \(manifest.layers.count) layers, its configuration "
                    + "\(diffIDs.count)")
        }
        layers = try zip(manifest.layers, diffIDs).map { layer, diffID in
            guard let compression = LayerCompression(mediaType: layer.mediaType) else {
                throw ImageError(
                    "image \(name) has a layer of type \"\(layer.mediaType)\", which is not known here; a tar, plain or "
                        + "compressed by gzip or zstd, is")
            }
            guard layer.size >= 0, layer.size <= Limits.layerInBytes else {
                throw ArchiveReader.tooLarge("layer \(layer.digest)", layer.size, limit: Int(Limits.layerInBytes))
            }
            return Layer(
                digest: try Digest.parse(layer.digest, in: "image \(name)"), mediaType: layer.mediaType,
                compression: compression, size: layer.size, diffID: try Digest.parse(diffID, in: "image \(name)"),
                urls: layer.urls)
        }
        displayName = name
        self.reference = reference
        self.manifestDigest = manifestDigest
        self.configDigest = configDigest
        self.config = config
        self.loaded = loaded
    }
}

extension Digest {
    static func parse(_ text: String, in whose: String) throws -> Digest {
        guard let digest = Digest(text) else {
            throw ImageError(
                "\(whose) names content \"\(text)\", which is not a sha256 digest; only those are known here")
        }
        return digest
    }
}

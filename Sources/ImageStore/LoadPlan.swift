import OCISpec

/// One image of an archive, found and checked, before its layers are read.
struct LoadPlan {
    var references: [ImageReference]
    let config: [UInt8]
    var layers: [Layer]
    /// The manifest as it came; nil for a docker-archive, whose images get one here.
    let manifest: [UInt8]?
    /// The image as it will be in the store; nil for a docker-archive, whose layers are not known by their digests yet.
    var image: StoredImage?
    /// In a registry, of what the name led to.
    var source: Digest?

    struct Layer {
        /// The piece of the source it is in.
        let piece: String
        /// What its content must be: the manifest's digest, or for a docker-archive the diffID.
        let expected: Digest
        let expectedSize: Int64?
        /// Whether `expected` is the digest of the uncompressed tar.
        let isDiffID: Bool
        /// What it turned out to be in the store.
        var found: (digest: Digest, size: Int64, compression: LayerCompression)?
    }

    /// The manifest to store.
    func finishedManifest() throws -> [UInt8] {
        if let manifest { return manifest }
        return try OCIJSON.encode(
            ImageManifest(
                config: Descriptor(
                    mediaType: MediaType.config, digest: Digest.of(config).description, size: Int64(config.count)),
                layers: layers.map { layer in
                    let found = layer.found ?? (layer.expected, 0, .none)
                    let suffix = found.compression == .none ? "" : "+\(found.compression.rawValue)"
                    return Descriptor(
                        mediaType: MediaType.layerTar + suffix, digest: found.digest.description, size: found.size)
                }))
    }
}

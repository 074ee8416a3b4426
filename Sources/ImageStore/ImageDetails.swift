import OCISpec

/// All that is known of an image, for people and programs to read (`cloister image inspect`).
public struct ImageDetails: Codable, Equatable, Sendable {
    /// The manifest's digest.
    public var id: String
    public var configDigest: String
    /// As Docker shows them.
    public var names: [String]
    /// e.g. `linux/amd64`.
    public var platform: String
    /// RFC 3339, as the image says.
    public var created: String?
    /// Seconds since the Unix epoch.
    public var loaded: Int64
    /// All layers, as they came.
    public var sizeInBytes: Int64
    public var config: ImageConfig.Execution
    /// Lowest first.
    public var layers: [Layer]

    public struct Layer: Codable, Equatable, Sendable {
        public var digest: String
        public var diffID: String
        public var mediaType: String
        public var sizeInBytes: Int64
        /// Whether its disk is ready.
        public var unpacked: Bool
    }
}

extension ImageStore {
    /// - Throws: `ImageError` when there is no such image.
    public func inspect(_ text: String) throws -> ImageDetails {
        let image = try resolve(text)
        let cache = LayerCache(location)
        let names = try References.read(location).images
            .filter { $0.descriptor.digest == image.manifestDigest.description }
            .compactMap { $0.reference.map(self.names.shown) }
        return ImageDetails(
            id: image.manifestDigest.description,
            configDigest: image.configDigest.description, names: names.sorted(),
            platform: image.config.platform.description, created: image.config.created, loaded: image.loaded,
            sizeInBytes: image.size, config: image.config.config ?? ImageConfig.Execution(),
            layers: image.layers.map {
                ImageDetails.Layer(
                    digest: $0.digest.description, diffID: $0.diffID.description, mediaType: $0.mediaType,
                    sizeInBytes: $0.size, unpacked: cache.ready($0.diffID) != nil)
            })
    }
}

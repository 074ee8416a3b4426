import Glibc
import OCISpec
import Registry
import System

extension ImageStore {
    public struct PushOptions: Sendable {
        public var registry = RegistryOptions()
        /// Layers at once.
        public var parallel = 3
        /// Told of layers alone; `fetched` counts what is sent.
        public var progress: @Sendable (PullEvent) -> Void = { _ in }

        public init() {}
    }

    /// Stores an image in a registry, byte for byte as it is here; what is there already is not sent again, and layers that
    /// may not be passed on stay where they are.
    /// - Parameters:
    ///   - text: a name or id of an image here.
    ///   - target: where it is to be.
    /// - Returns: its manifest's digest.
    /// - Throws: `ImageError` or `RegistryError`.
    public func push(_ text: String, to target: ImageReference, _ options: PushOptions) throws -> Digest {
        // Keeps the content while it is read.
        let lock = try FileLock.acquire(location.lock, .shared)
        defer { lock.release() }
        let image = try resolve(text)
        let manifest = try content.document(image.manifestDigest, what: "manifest")
        let config = try content.document(image.configDigest, what: "image configuration")
        let mediaType = try OCIJSON.decode(ImageManifest.self, from: manifest).mediaType ?? MediaType.manifest
        if let digest = target.digest, digest != image.manifestDigest {
            throw ImageError("the image's digest is \(image.manifestDigest); it cannot be stored as \(digest)")
        }
        let registry = try Registry(target.domain, options.registry)
        let session = try registry.session()
        options.progress(.resolved(image.manifestDigest, layers: image.layers))
        let transfers = LayerTransfers(image.layers.distinct.filter { !$0.isForeign })
        transfers.start("push", registry, parallel: options.parallel) { layer, session in
            try self.send(layer, session, target.path, options)
        }
        try transfers.finish()
        if try !session.has(target.path, image.configDigest.description) {
            try session.push(target.path, image.configDigest.description, config)
        }
        try session.pushManifest(
            target.path, target.tag ?? image.manifestDigest.description, manifest, mediaType: mediaType)
        return image.manifestDigest
    }

    private func send(
        _ layer: StoredImage.Layer, _ session: Session, _ repository: String, _ options: PushOptions
    ) throws {
        if try session.has(repository, layer.digest.description) {
            return options.progress(.layer(layer.digest, .present))
        }
        guard content.has(layer.digest, size: layer.size) else {
            throw ImageError(
                "layer \(layer.digest) is missing from the store or cut short; pull or load the image again")
        }
        let file = try FileDescriptor.open(location.blob(layer.digest), O_RDONLY)
        do {
            try session.push(repository, layer.digest.description, file, size: layer.size) {
                options.progress(.layer(layer.digest, .fetched($0)))
            }
        } catch {
            // The registry has read it all, and may have found what nobody here looked for.
            guard content.isDamaged(layer.digest) else { throw error }
            throw ImageError("layer \(layer.digest) is damaged in the store; \(Self.mends)")
        }
        options.progress(.layer(layer.digest, .done))
    }
}

extension StoredImage.Layer {
    /// Whether it may not be passed on (image-spec, layer.md, "Non-Distributable Layers").
    var isForeign: Bool { mediaType.contains(".nondistributable.") || mediaType.contains(".foreign.") }
}

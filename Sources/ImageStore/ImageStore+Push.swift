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
        try PushLayers(store: self, registry: registry, repository: target.path, options: options).run(image.layers)
        if try !session.has(target.path, image.configDigest.description) {
            try session.push(target.path, image.configDigest.description, config)
        }
        try session.pushManifest(
            target.path, target.tag ?? image.manifestDigest.description, manifest, mediaType: mediaType)
        return image.manifestDigest
    }
}

/// The layers of one push, by some threads.
private final class PushLayers: Sendable {
    private let store: ImageStore
    private let registry: Registry
    private let repository: String
    private let options: ImageStore.PushOptions
    private let state = Guarded(State())

    private struct State {
        var wanted: [StoredImage.Layer] = []
        var sending = 0
        var failure: (any Error)?
    }

    init(store: ImageStore, registry: Registry, repository: String, options: ImageStore.PushOptions) {
        self.store = store
        self.registry = registry
        self.repository = repository
        self.options = options
    }

    func run(_ layers: [StoredImage.Layer]) throws {
        var seen: Set<Digest> = []
        let distinct = layers.filter { !$0.isForeign && seen.insert($0.digest).inserted }
        let threads = min(max(options.parallel, 1), distinct.count)
        state.withLock {
            $0.wanted = distinct
            $0.sending = threads
        }
        for number in 0..<threads { Thread.start("push-\(number)") { self.sendAll() } }
        // Without a timeout the wait ends with a value alone.
        _ = state.wait { $0.sending == 0 ? true : nil }
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    private func sendAll() {
        do {
            let session = try registry.session()
            while let layer = state.withLock({ $0.failure == nil && !$0.wanted.isEmpty ? $0.wanted.removeFirst() : nil }
            ) {
                try send(layer, session)
            }
        } catch { state.withLock { $0.failure = $0.failure ?? error } }
        state.withLock { $0.sending -= 1 }
    }

    private func send(_ layer: StoredImage.Layer, _ session: Session) throws {
        if try session.has(repository, layer.digest.description) {
            return options.progress(.layer(layer.digest, .present))
        }
        guard store.content.has(layer.digest, size: layer.size) else {
            throw ImageError(
                "layer \(layer.digest) is missing from the store or cut short; pull or load the image again")
        }
        let file = try FileDescriptor.open(store.location.blob(layer.digest), O_RDONLY)
        try session.push(repository, layer.digest.description, file, size: layer.size) { [options] in
            options.progress(.layer(layer.digest, .fetched($0)))
        }
        options.progress(.layer(layer.digest, .done))
    }
}

extension StoredImage.Layer {
    /// Whether it may not be passed on (image-spec, layer.md, "Non-Distributable Layers").
    var isForeign: Bool { mediaType.contains(".nondistributable.") || mediaType.contains(".foreign.") }
}

import Glibc
import OCISpec
import Registry
import System

/// What a person may be told of a pull.
public enum PullEvent: Sendable, Equatable {
    /// What the name led to, and the layers there are.
    case resolved(Digest, layers: [StoredImage.Layer])
    case layer(Digest, LayerProgress)

    public enum LayerProgress: Sendable, Equatable {
        /// It was in the store before.
        case present
        /// Another process is fetching it.
        case waiting
        /// Bytes that are here.
        case fetched(Int64)
        case done
    }
}

extension ImageStore {
    public struct PullOptions: Sendable {
        public var registry = RegistryOptions()
        /// Of those that the image is for; nil for this machine's.
        public var platform: Platform?
        /// Layers at once.
        public var parallel = 3
        /// Unpacks layers as they come; nil leaves that to the first run.
        public var builder: (any LayerBuilder)?
        public var progress: @Sendable (PullEvent) -> Void = { _ in }

        public init() {}
    }

    public struct Pulled: Sendable {
        public let image: StoredImage
        /// Of what the name led to in the registry: an index, where the image is for several platforms.
        public let digest: Digest
        /// Whether the name led there before.
        public let wasThere: Bool
    }

    /// Brings in an image from its registry; what is here already is not fetched again.
    /// - Throws: `ImageError` or `RegistryError`. What came whole stays for the next attempt, and so does the beginning of
    ///   what did not.
    public func pull(_ reference: ImageReference, _ options: PullOptions) throws -> Pulled {
        do {
            let lock = try FileLock.acquire(location.lock, .shared)
            defer { lock.release() }
            let area = try TemporaryArea(location)
            let registry = try Registry(reference.domain, options.registry)
            let source = try RegistrySource(
                reference, shown: names.shown(reference), try registry.session(), content)
            guard let index = try source.document("index.json"),
                var plan = try OCILayoutPlanner(
                    source: source, names: names, platform: WantedPlatform(asked: options.platform), note: note
                ).plan(index).first
            else { throw ImageError("\(source.path) holds no image") }
            plan.references = [reference]
            plan.source = source.digest
            let layers = plan.image?.layers ?? []
            options.progress(.resolved(source.digest, layers: layers))
            try PullFetch(layers, store: self, registry: registry, repository: reference.path, options: options).run()
            let before = try References.read(location).images.first { $0.reference == reference.description }
            let loaded = try publish([plan], area)
            lock.release()
            _ = try? collect(wait: false)
            guard let manifestDigest = loaded.first?.manifestDigest else {
                throw ImageError("\(source.path) holds no image")
            }
            return Pulled(
                image: try resolve(reference.description), digest: source.digest,
                wasThere: before?.descriptor.digest == manifestDigest.description)
        } catch { throw ImageError.explaining(error, at: location.root, doing: "pulling \(names.shown(reference))") }
    }
}

extension ImageStore {
    /// Fetches the layers that an image here has lost, such as by damage, from where its name says it is; by their digests, so
    /// that it is the same image still.
    /// - Returns: whether there was something to fetch.
    /// - Throws: `ImageError` or `RegistryError`.
    public func restore(_ image: StoredImage, _ options: PullOptions) throws -> Bool {
        guard let reference = image.reference else { return false }
        let lock = try FileLock.acquire(location.lock, .shared)
        defer {
            lock.release()
            if isCollectionWanted { _ = try? collect() }
        }
        let cache = LayerCache(location)
        let lost = image.layers.filter { !content.has($0.digest, size: $0.size) && cache.ready($0.diffID) == nil }
        guard !lost.isEmpty else { return false }
        do {
            let registry = try Registry(reference.domain, options.registry)
            options.progress(.resolved(image.manifestDigest, layers: lost))
            try PullFetch(lost, store: self, registry: registry, repository: reference.path, options: options).run()
        } catch { throw ImageError.explaining(error, at: location.root, doing: "pulling \(image.displayName)") }
        // What is named must outlive a crash.
        try Files.syncDirectory(of: location.blobs + "/x")
        return true
    }
}

/// The layers of one pull: fetched by some threads, and unpacked as they come by the one that asked.
private final class PullFetch: Sendable {
    private let store: ImageStore
    private let registry: Registry
    private let repository: String
    private let options: ImageStore.PullOptions
    private let transfers: LayerTransfers
    private let layers: [StoredImage.Layer]
    private let missing: [StoredImage.Layer]

    /// An attempt that brought less than this counts as one that failed.
    private static let progressInBytes: Int64 = 1 << 20

    init(
        _ layers: [StoredImage.Layer], store: ImageStore, registry: Registry, repository: String,
        options: ImageStore.PullOptions
    ) {
        self.store = store
        self.registry = registry
        self.repository = repository
        self.options = options
        self.layers = layers
        let layers = layers.distinct
        let present = layers.filter { store.content.has($0.digest, size: $0.size) }
        missing = layers.filter { layer in !present.contains { $0.digest == layer.digest } }
        transfers = LayerTransfers(missing, present: present)
        for layer in present { options.progress(.layer(layer.digest, .present)) }
    }

    func run() throws {
        try store.checkRoom(for: missing.reduce(0) { $0 + $1.size }, "layers of \(repository)")
        transfers.start("pull", registry, parallel: options.parallel) { try self.fetch($0, $1) }
        do {
            if let builder = options.builder { try unpack(builder) }
        } catch { transfers.fail(error) }
        try transfers.finish()
    }

    /// In whatever order they come. One that came before those below it, and turned out to need them, is unpacked once more
    /// with the last of those.
    private func unpack(_ builder: any LayerBuilder) throws {
        let stack = layers.stacked
        var here: Set<Digest> = []
        var early: Set<Digest> = []
        while let arrived = transfers.takeDone()?.map(\.digest) {
            here.formUnion(arrived)
            let whole = Set(stack.prefix { here.contains($0.digest) }.map(\.digest))
            let again = early.intersection(whole)
            let batch = stack.filter { arrived.contains($0.digest) || again.contains($0.digest) }
            let disks = try store.unpack(batch, of: stack, again: again, builder: builder)
            for layer in batch where !whole.contains(layer.digest) {
                if disks[layer.diffID]?.unpacked.completeOver == nil { early.insert(layer.digest) }
            }
            early.subtract(again)
        }
    }

    private func fetch(_ layer: StoredImage.Layer, _ session: Session) throws {
        let beginning = try PartialBlob.begin(layer.digest, size: layer.size, in: store.content) {
            options.progress(.layer(layer.digest, .waiting))
        }
        guard case .fetch(let blob) = beginning else { return options.progress(.layer(layer.digest, .done)) }
        while true {
            try fill(blob, layer, session)
            let resumed = blob.resumed > 0
            if try blob.finish(in: store.content) { break }
            // What an earlier attempt left may be what is wrong.
            guard resumed else {
                throw ImageError(
                    "layer \(layer.digest) is damaged in \(registry.domain)/\(repository): its content has another digest"
                )
            }
        }
        options.progress(.layer(layer.digest, .done))
    }

    private func fill(_ blob: PartialBlob, _ layer: StoredImage.Layer, _ session: Session) throws {
        var attempt = 0
        options.progress(.layer(layer.digest, .fetched(blob.size)))
        while blob.size < blob.expectedSize {
            let before = blob.size
            do {
                try session.blob(repository, layer.digest.description, from: before, urls: layer.urls) { [self] in
                    try blob.accept($0, $1)
                    options.progress(.layer(layer.digest, .fetched(blob.size)))
                    if transfers.hasFailed { throw ImageError("the pull was given up") }
                }
                guard blob.size < blob.expectedSize else { return }
                throw RegistryError(
                    .temporary(after: nil),
                    "layer \(layer.digest.short) ended after \(blob.size) of \(blob.expectedSize) bytes")
            } catch let error as RegistryError {
                if blob.size - before >= Self.progressInBytes { attempt = 0 }
                guard session.pause(after: error, attempt: attempt) else { throw error }
                attempt += 1
            }
        }
    }
}

import Glibc
import OCISpec
import System

extension ImageStore {
    /// Writes images as a tar in OCI layout with the `manifest.json` of `docker save` beside it, so that readers of either
    /// form take it. Manifests, configurations and layers are byte for byte what came in; equal images give equal files.
    /// - Parameters:
    ///   - names: names, or beginnings of ids, whose images have no name in the file.
    ///   - platform: what they have to be for; nil for whatever they are.
    ///   - descriptor: what to write to.
    ///   - path: what that is called in messages.
    /// - Throws: `ImageError` when there is no such image, or the store's is damaged.
    public func save(_ names: [String], platform: Platform? = nil, to descriptor: Int32, path: String) throws {
        // Keeps the content while it is read.
        let lock = try FileLock.acquire(location.lock, .shared)
        defer {
            lock.release()
            if isCollectionWanted { _ = try? collect() }
        }
        var index = ImageIndex(manifests: [])
        var items: [DockerArchivePlanner.Item] = []
        var sizes: [Digest: Int64] = [:]
        var owners: [Digest: String] = [:]
        for text in names {
            let entry = try self.entry(text)
            let image = try self.image(entry)
            if let platform, platform.distance(to: image.config.platform) == nil {
                throw ImageError(
                    "image \(image.displayName) is here for \(image.config.platform); "
                        + "\"cloister pull --platform \(platform) \(image.displayName)\" brings the one for that")
            }
            let byName = (try? self.names.reference(text)).map { $0.description == entry.reference } ?? false
            let reference = byName ? image.reference : nil
            var described = entry.descriptor
            if let reference {
                described.annotations["io.containerd.image.name"] = reference.description
                described.annotations["org.opencontainers.image.ref.name"] = reference.description
            }
            if !index.manifests.contains(described) { index.manifests.append(described) }
            let config = "blobs/sha256/\(image.configDigest.hex)"
            if items.first(where: { $0.Config == config }) == nil {
                items.append(
                    DockerArchivePlanner.Item(
                        Config: config, RepoTags: [], Layers: image.layers.map { "blobs/sha256/\($0.digest.hex)" }))
            }
            if let reference, reference.tag != nil, reference.digest == nil {
                for number in items.indices
                where items[number].Config == config && items[number].RepoTags?.contains(reference.description) == false
                {
                    // The whole name: podman takes a short one for localhost's.
                    items[number].RepoTags?.append(reference.description)
                }
            }
            for digest in [image.manifestDigest, image.configDigest] {
                sizes[digest] = content.size(digest) ?? 0
                owners[digest] = image.displayName
            }
            for layer in image.layers {
                guard content.has(layer.digest, size: layer.size) else {
                    throw ImageError(
                        "image \(image.displayName) lacks layer \(layer.digest) in the store; \(Self.bringsBack)")
                }
                sizes[layer.digest] = layer.size
                owners[layer.digest] = image.displayName
            }
        }
        let writer = try ArchiveWriter(descriptor, path)
        try writer.add("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
        try writer.add("index.json", try OCIJSON.encode(index))
        try writer.add("manifest.json", try OCIJSON.encode(items))
        for (digest, size) in sizes.sorted(by: { $0.key.hex < $1.key.hex }) {
            let file = try FileDescriptor.open(location.blob(digest), O_RDONLY)
            guard try writer.add("blobs/sha256/\(digest.hex)", file, size) == digest else {
                throw ImageError(
                    "\(digest), of image \(owners[digest] ?? ""), is damaged in the store; \(Self.mends)")
            }
        }
        try writer.finish()
    }
}

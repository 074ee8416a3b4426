import Glibc
import OCISpec
import System

/// The images of this machine or user. Any number of processes may use it at once; a crash at any moment leaves what was
/// there before, and rubbish that the next collection removes.
public final class ImageStore: Sendable {
    public let location: StoreLocation
    let content: ContentStore
    /// How names are read that people give.
    public let names: NameRules
    let limitInBytes: Int64?
    /// Told what takes long or was decided for the person, one line each.
    let note: @Sendable (String) -> Void

    /// Opens the store, making its directories where they are missing.
    /// - Throws: `ImageError` or `SystemError` when they cannot be made.
    /// - Parameters:
    ///   - names: how names are read that people give.
    ///   - limitInBytes: how much content and layer disks may occupy when more is brought in; nil for no limit.
    public init(
        _ location: StoreLocation, names: NameRules = NameRules(), limitInBytes: Int64? = nil,
        note: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        self.location = location
        self.names = names
        self.limitInBytes = limitInBytes
        self.note = note
        content = ContentStore(location: location)
        do {
            try Files.makeDirectories(location.root, mode: 0o755)
            for directory in [
                location.root + "/blobs", location.blobs, location.layers, location.partial, location.temporary,
                location.scratch,
            ] where !Files.exists(directory) {
                try Files.makeDirectories(directory, mode: 0o755)
                chmod(directory, 0o755)
            }
            References.keepReserve(location)
        } catch { throw ImageError.explaining(error, at: location.root, doing: "opening the image store") }
    }

    /// Every image, in the order of their names, nameless ones last. One that cannot be read is left out, with a note.
    public func list() throws -> [StoredImage] {
        var result: [StoredImage] = []
        for entry in try References.read(location).images {
            do { result.append(try image(entry)) } catch { note("left out of the list: \(error)") }
        }
        return result.sorted {
            ($0.reference == nil ? 1 : 0, $0.displayName) < ($1.reference == nil ? 1 : 0, $1.displayName)
        }
    }

    /// The image of a name, or of an id: the beginning of its manifest's or configuration's digest.
    /// - Throws: `ImageError` when there is none, or several begin alike.
    public func resolve(_ text: String) throws -> StoredImage { try image(try entry(text)) }

    /// The image of a name or id; nil when there is none.
    /// - Throws: `ImageError` for a name that is none, or several images that begin alike.
    public func find(_ text: String) throws -> StoredImage? { try findEntry(text).map { try image($0) } }

    /// Whether there is an image of a name or id, readable or not.
    public func isThere(_ text: String) throws -> Bool { try findEntry(text) != nil }

    func entry(_ text: String) throws -> References.Entry {
        if let found = try findEntry(text) { return found }
        let name = (try? names.reference(text)).map(names.shown) ?? text
        throw ImageError(
            "there is no image \"\(name)\" here; \"cloister pull\" or \"cloister image load -i FILE\" brings one in, "
                + "\"cloister image list\" shows what there is")
    }

    private func findEntry(_ text: String) throws -> References.Entry? {
        let references = try References.read(location)
        let wanted = try? names.reference(text)
        if let wanted {
            if let found = references.images.first(where: { $0.reference == wanted.description }) { return found }
            if let digest = wanted.digest {
                let found = references.images.first {
                    (Digest($0.descriptor.digest) == digest || $0.source.flatMap { Digest($0) } == digest)
                        && ($0.reference.flatMap { try? ImageReference($0) }?.name == wanted.name)
                }
                if let found { return found }
            }
        }
        let prefix = text.hasPrefix("sha256:") ? String(text.dropFirst(7)) : text
        if !prefix.isEmpty, prefix.utf8.count <= 64, prefix.utf8.allSatisfy(Digest.isHexDigit) {
            let matches = references.images.filter { entry in
                entry.descriptor.digest.hasPrefix("sha256:" + prefix)
                    || ((try? manifest(entry))?.config.digest.hasPrefix("sha256:" + prefix) ?? false)
            }
            if Set(matches.map(\.descriptor.digest)).count > 1 {
                throw ImageError("\(matches.count) images have an id that begins with \(prefix); give more of it")
            }
            if let match = matches.first { return match }
        }
        if wanted == nil, Digest("sha256:" + prefix) == nil { _ = try names.reference(text) }
        return nil
    }

    func manifest(_ entry: References.Entry) throws -> ImageManifest {
        let digest = try Digest.parse(entry.descriptor.digest, in: "the store's list of images")
        return try OCIJSON.decode(ImageManifest.self, from: content.document(digest, what: "manifest"))
    }

    func image(_ entry: References.Entry) throws -> StoredImage {
        let manifest = try manifest(entry)
        let configDigest = try Digest.parse(manifest.config.digest, in: "a manifest of the store")
        let config = try OCIJSON.decode(
            ImageConfig.self, from: content.document(configDigest, what: "image configuration"))
        return try StoredImage(
            name: entry.reference.map(names.shown) ?? entry.descriptor.digest,
            reference: entry.reference.map { try ImageReference($0) },
            manifestDigest: try Digest.parse(entry.descriptor.digest, in: "the store's list of images"),
            manifest: manifest, configDigest: configDigest, config: config, loaded: entry.loaded)
    }
}

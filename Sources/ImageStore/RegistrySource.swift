import OCISpec
import Registry

/// An image of a registry, as what planning an image looks at: manifests and configurations, fetched as they are asked for.
final class RegistrySource: ImageSource {
    let path: String
    private let reference: ImageReference
    private let session: Session
    private let content: ContentStore
    private var documents: [String: [UInt8]] = [:]
    /// Of what the name led to: an index, where the image is for several platforms.
    let digest: Digest

    /// - Parameter shown: what to call it in messages.
    /// - Throws: `ImageError` or `RegistryError` when there is no such image, or another than was asked for.
    init(_ reference: ImageReference, shown: String, _ session: Session, _ content: ContentStore) throws {
        path = shown
        self.reference = reference
        self.session = session
        self.content = content
        let top: [UInt8]
        let type: String
        if let wanted = reference.digest, let kept = try? content.document(wanted, what: "manifest") {
            // What a digest names cannot have changed.
            (top, type) = (kept, "")
        } else {
            let document = try session.manifest(
                reference.path, reference.digest?.description ?? reference.tag ?? "latest",
                limit: Limits.documentInBytes)
            (top, type) = (document.bytes, document.mediaType)
        }
        digest = Digest.of(top)
        if let wanted = reference.digest, wanted != digest {
            throw ImageError(
                "\(reference.domain) answers with \(digest) where \(wanted) was asked for; it is damaged or lies")
        }
        struct Typed: Decodable { var mediaType: String? }
        let typed = try? OCIJSON.decode(Typed.self, from: top)
        let mediaType = typed?.mediaType ?? String(type.prefix { $0 != ";" })
        guard MediaType.isIndex(mediaType) || MediaType.isManifest(mediaType) else {
            throw ImageError(
                "\(path) is a \"\(mediaType)\" in its registry, which is not known here; an OCI image, or Docker's of schema 2, is"
            )
        }
        documents["blobs/sha256/\(digest.hex)"] = top
        documents["index.json"] = try OCIJSON.encode(
            ImageIndex(manifests: [
                Descriptor(
                    mediaType: mediaType, digest: digest.description, size: Int64(top.count),
                    annotations: ["io.containerd.image.name": reference.description])
            ]))
    }

    func size(of name: String) throws -> Int64? { documents[name].map { Int64($0.count) } }

    func document(_ name: String) throws -> [UInt8]? { documents[name] }

    func document(_ descriptor: Descriptor) throws -> [UInt8]? {
        let digest = try Digest.parse(descriptor.digest, in: path)
        let name = "blobs/sha256/\(digest.hex)"
        if let known = documents[name] { return known }
        if let kept = try? content.document(digest, what: "document") { return kept }
        let bytes: [UInt8]
        if MediaType.isIndex(descriptor.mediaType) || MediaType.isManifest(descriptor.mediaType) {
            bytes = try session.manifest(reference.path, digest.description, limit: Limits.documentInBytes).bytes
        } else {
            bytes = try session.document(reference.path, digest.description, limit: Limits.documentInBytes)
        }
        documents[name] = bytes
        return bytes
    }

    /// Layers are fetched otherwise.
    func stream(_ names: Set<String>, _ body: (String, any Piece) throws -> Void) throws {}
}

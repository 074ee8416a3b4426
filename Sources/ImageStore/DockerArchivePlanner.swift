import OCISpec

/// Finds the images of what `docker save` and `podman save` write: `manifest.json`, and files that it names.
struct DockerArchivePlanner {
    let source: any ImageSource
    var names = NameRules()
    var platform = WantedPlatform()
    var note: (String) -> Void = { _ in }

    /// One image in `manifest.json`; names are the document's own.
    struct Item: Codable {
        var Config: String
        var RepoTags: [String]?
        /// Lowest first.
        var Layers: [String]?
    }

    func plan(_ bytes: [UInt8]) throws -> [LoadPlan] {
        let items: [Item]
        do throws(OCIJSONError) { items = try OCIJSON.decode([Item].self, from: bytes) } catch {
            throw ImageError("manifest.json of \(source.path) cannot be understood: it \(error)")
        }
        let plans: [LoadPlan] = try items.compactMap { item in
            do { return try plan(item) } catch let other as Other where items.count > 1 && platform.isAsked {
                note("left out: \(other.refusal)")
                return nil
            } catch let other as Other { throw other.refusal }
        }
        guard items.isEmpty || !plans.isEmpty else {
            throw ImageError("\(source.path) holds no image for \(platform.wanted)")
        }
        return plans
    }

    /// An image for another platform.
    private struct Other: Error { let refusal: ImageError }

    private func plan(_ item: Item) throws -> LoadPlan {
        let references = try (item.RepoTags ?? []).map { try ImageReference($0) }
        let name = references.first.map(names.shown) ?? source.path
        guard let config = try source.document(ArchiveReader.normalise(item.Config)) else {
            throw ImageError("\(source.path) lacks \(item.Config), image \(name)'s configuration; save the image again")
        }
        let digest = Digest.of(config)
        // It is named by its digest, except by writers with ideas of their own.
        let stem = item.Config.split(separator: "/").last.map { $0.hasSuffix(".json") ? $0.dropLast(5) : $0 } ?? ""
        if let named = Digest(hex: String(stem)), named != digest {
            throw ImageError(
                "configuration \(named) of \(source.path) is damaged: its content is \(digest); save the image again")
        }
        let parsed: ImageConfig
        do throws(OCIJSONError) { parsed = try OCIJSON.decode(ImageConfig.self, from: config) } catch {
            throw ImageError("\(item.Config) of \(source.path) cannot be understood: it \(error)")
        }
        guard platform.wanted.distance(to: parsed.platform) != nil else {
            throw Other(refusal: platform.refusal(of: name, for: [parsed.platform]))
        }
        let pieces = item.Layers ?? []
        // Everything about the image but its layers' content is checked here, on the manifest it would have.
        let placeholder = ImageManifest(
            config: Descriptor(mediaType: MediaType.config, digest: digest.description, size: Int64(config.count)),
            layers: zip(pieces, parsed.rootfs.diff_ids + pieces.dropFirst(parsed.rootfs.diff_ids.count)).map {
                Descriptor(mediaType: MediaType.layerTar, digest: $0.1, size: 0)
            })
        let image = try StoredImage(
            name: name, reference: references.first, manifestDigest: digest, manifest: placeholder,
            configDigest: digest,
            config: parsed, loaded: 0)
        return LoadPlan(
            references: references, config: config,
            layers: zip(pieces, image.layers).map {
                LoadPlan.Layer(
                    piece: ArchiveReader.normalise($0), expected: $1.diffID, expectedSize: nil, isDiffID: true)
            }, manifest: nil, image: nil)
    }
}

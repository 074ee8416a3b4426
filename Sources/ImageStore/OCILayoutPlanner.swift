import OCISpec

/// Finds the images of an OCI layout (image-spec, image-layout.md).
struct OCILayoutPlanner {
    let source: any ImageSource
    var names = NameRules()
    var platform = WantedPlatform()
    let note: (String) -> Void

    func plan(_ bytes: [UInt8]) throws -> [LoadPlan] {
        let index = try decode(ImageIndex.self, bytes, "index.json")
        var groups: [(name: ImageReference?, descriptors: [Descriptor])] = []
        // Entries of one name are that image for several platforms; so are all that have no name.
        for descriptor in index.manifests where !isAttestation(descriptor) {
            let name = try self.name(of: descriptor, alone: index.manifests.count == 1)
            if let known = groups.firstIndex(where: { $0.name == name }) {
                groups[known].descriptors.append(descriptor)
            } else {
                groups.append((name, [descriptor]))
            }
        }
        let dockerNames = try self.dockerNames()
        return try groups.flatMap { group in
            let display = group.name.map(names.shown) ?? source.path
            let offers = try self.offers(group.descriptors)
            // What has no name are several images; what has one, that image for several platforms.
            let chosen = group.name == nil ? offers.filter { rank($0) != nil } : best(offers).map { [$0] } ?? []
            if chosen.isEmpty, !offers.isEmpty, groups.count > 1, platform.isAsked {
                note("left out: \(refusal(offers, display))")
            } else if chosen.isEmpty, !offers.isEmpty {
                throw refusal(offers, display)
            }
            return try chosen.map { try plan($0, name: group.name, dockerNames) }
        }
    }

    private func plan(
        _ offer: Offer, name: ImageReference?, _ dockerNames: [Digest: [ImageReference]]
    ) throws -> LoadPlan {
        let descriptor = offer.descriptor
        let manifestBytes = try document(descriptor, "manifest")
        let manifest = try decode(ImageManifest.self, manifestBytes, "manifest \(descriptor.digest)")
        let type = manifest.config.mediaType
        guard type == MediaType.config || type == "application/vnd.docker.container.image.v1+json" else {
            throw ImageError("\(source.path) holds a \"\(type)\", which is not a container image")
        }
        let configBytes = try document(manifest.config, "configuration")
        let config = try decode(ImageConfig.self, configBytes, "configuration \(manifest.config.digest)")
        let display = name.map(names.shown) ?? source.path
        // Where the index has said which variant it is, configurations often say nothing of it.
        let isRight =
            offer.platform == nil
            ? platform.wanted.distance(to: config.platform) != nil : platform.wanted.isAlike(config.platform)
        guard isRight else { throw platform.refusal(of: display, for: [config.platform]) }
        let digest = Digest.of(manifestBytes)
        let configDigest = Digest.of(configBytes)
        // Everything about it is checked here, before its layers are read.
        let image = try StoredImage(
            name: display, reference: name, manifestDigest: digest, manifest: manifest, configDigest: configDigest,
            config: config, loaded: 0)
        var references = [name].compactMap { $0 }
        if references.isEmpty { references = dockerNames[configDigest] ?? [] }
        if references.isEmpty, let fromFile = nameFromFile(source.path, tag: nil) {
            note("\(source.path) does not name its image; it is called \(names.shown(fromFile)) here (--name chooses)")
            references = [fromFile]
        }
        return LoadPlan(
            references: references, config: configBytes,
            layers: image.layers.map {
                LoadPlan.Layer(
                    piece: "blobs/sha256/\($0.digest.hex)", expected: $0.digest, expectedSize: $0.size, isDiffID: false)
            }, manifest: manifestBytes, image: image)
    }

    /// An image that an index has, and the platform it gives for it.
    private struct Offer {
        let descriptor: Descriptor
        var platform: Platform?
    }

    /// The images of an index; of an index in it, the best, since those are one image for several platforms.
    private func offers(_ descriptors: [Descriptor], depth: Int = 0) throws -> [Offer] {
        guard depth < 4 else { throw ImageError("\(source.path) nests its indexes too deeply to be an image") }
        var offers: [Offer] = []
        for descriptor in descriptors where !isAttestation(descriptor) {
            if let platform = descriptor.platform, self.platform.wanted.distance(to: platform) == nil {
                offers.append(Offer(descriptor: descriptor, platform: platform))
            } else if MediaType.isIndex(descriptor.mediaType) {
                let index = try decode(
                    ImageIndex.self, document(descriptor, "index"), "index \(descriptor.digest)")
                let inner = try self.offers(index.manifests, depth: depth + 1)
                offers += best(inner).map { [$0] } ?? inner
            } else if MediaType.isManifest(descriptor.mediaType) {
                offers.append(Offer(descriptor: descriptor, platform: descriptor.platform))
            } else {
                throw ImageError("\(source.path) holds a \"\(descriptor.mediaType)\", which is not a container image")
            }
        }
        // Several without a platform: their configurations say.
        guard offers.count > 1 else { return offers }
        return offers.map { offer in
            guard offer.platform == nil,
                let manifest = try? OCIJSON.decode(ImageManifest.self, from: document(offer.descriptor, "manifest")),
                let config = try? OCIJSON.decode(
                    ImageConfig.self, from: document(manifest.config, "configuration"))
            else { return offer }
            return Offer(descriptor: offer.descriptor, platform: config.platform)
        }
    }

    /// 0 for the platform that is wanted, more for others that do; nil for those that do not. What does not say is looked at
    /// when nothing else is there.
    private func rank(_ offer: Offer) -> Int? {
        guard let platform = offer.platform else { return 10000 }
        return self.platform.wanted.distance(to: platform)
    }

    /// The first of the best.
    private func best(_ offers: [Offer]) -> Offer? {
        let ranks = offers.compactMap(rank)
        guard let least = ranks.min() else { return nil }
        return offers.first { rank($0) == least }
    }

    private func refusal(_ offers: [Offer], _ name: String) -> ImageError {
        platform.refusal(of: name, for: offers.compactMap(\.platform))
    }

    /// What buildx puts beside an image to say how it was built.
    private func isAttestation(_ descriptor: Descriptor) -> Bool {
        descriptor.platform?.architecture == "unknown"
            || descriptor.annotations["vnd.docker.reference.type"] == "attestation-manifest"
    }

    /// A small blob, its size and digest checked.
    private func document(_ descriptor: Descriptor, _ what: String) throws -> [UInt8] {
        let digest = try Digest.parse(descriptor.digest, in: source.path)
        guard descriptor.size <= Limits.documentInBytes else {
            throw ArchiveReader.tooLarge(
                "\(what) \(digest) of \(source.path)", descriptor.size, limit: Limits.documentInBytes)
        }
        guard let bytes = try source.document(descriptor) else {
            throw ImageError("\(source.path) lacks \(what) \(digest); copy or save the image again")
        }
        let actual = Digest.of(bytes)
        guard actual == digest else {
            throw ImageError(
                "\(what) \(digest) of \(source.path) is damaged: its content is \(actual); copy or save the image again"
            )
        }
        return bytes
    }

    private func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8], _ what: String) throws -> T {
        do throws(OCIJSONError) { return try OCIJSON.decode(type, from: bytes) } catch {
            throw ImageError("\(what) of \(source.path) cannot be understood: it \(error)")
        }
    }

    /// containerd and Docker write the whole name; skopeo and umoci what the person gave, which may be a tag alone.
    private func name(of descriptor: Descriptor, alone: Bool) throws -> ImageReference? {
        if let full = descriptor.annotations["io.containerd.image.name"] { return try ImageReference(full) }
        guard let short = descriptor.annotations["org.opencontainers.image.ref.name"], !short.isEmpty else {
            return nil
        }
        if short.contains("/") || short.contains(":") { return try ImageReference(short) }
        guard ImageReference.isTag(short), let named = nameFromFile(source.path, tag: short) else {
            return try ImageReference(short)
        }
        note(
            "\(source.path) tags its image \"\(short)\" without a name; it is called \(names.shown(named)) here (--name chooses)"
        )
        return named
    }

    /// A name out of `…/name.tar.gz` or `…/name/`, as if a person gave it; nil when that is not one.
    private func nameFromFile(_ path: String, tag: String?) -> ImageReference? {
        var base = path.split(separator: "/").last.map { $0.lowercased() } ?? ""
        for suffix in [".gz", ".zst", ".xz", ".bz2", ".tgz", ".tar", ".oci"] where base.hasSuffix(suffix) {
            base = String(base.dropLast(suffix.count))
        }
        guard !base.isEmpty, !base.contains(":"), !base.contains("@") else { return nil }
        return try? names.reference(base + (tag.map { ":" + $0 } ?? ""))
    }

    /// `manifest.json`, which recent Docker writes beside the layout, knows names by configuration.
    private func dockerNames() throws -> [Digest: [ImageReference]] {
        guard let bytes = try source.document("manifest.json"),
            let items = try? OCIJSON.decode([DockerArchivePlanner.Item].self, from: bytes)
        else { return [:] }
        var result: [Digest: [ImageReference]] = [:]
        for item in items {
            guard let config = item.Config.split(separator: "/").last.flatMap({ Digest(hex: String($0)) }) else {
                continue
            }
            result[config, default: []] += (item.RepoTags ?? []).compactMap { try? ImageReference($0) }
        }
        return result
    }
}

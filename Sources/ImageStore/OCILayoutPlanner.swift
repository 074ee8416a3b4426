import OCISpec

/// Finds the images of an OCI layout (image-spec, image-layout.md).
struct OCILayoutPlanner {
    let source: any ImageSource
    var names = NameRules()
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
            try choose(group.descriptors, name: group.name.map(names.shown) ?? source.path).map { descriptor in
                try plan(descriptor, name: group.name, dockerNames)
            }
        }
    }

    private func plan(
        _ descriptor: Descriptor, name: ImageReference?, _ dockerNames: [Digest: [ImageReference]]
    ) throws -> LoadPlan {
        let manifestBytes = try document(descriptor, "manifest")
        let manifest = try decode(ImageManifest.self, manifestBytes, "manifest \(descriptor.digest)")
        let type = manifest.config.mediaType
        guard type == MediaType.config || type == "application/vnd.docker.container.image.v1+json" else {
            throw ImageError("\(source.path) holds a \"\(type)\", which is not a container image")
        }
        let configBytes = try document(manifest.config, "configuration")
        let config = try decode(ImageConfig.self, configBytes, "configuration \(manifest.config.digest)")
        let display = name.map(names.shown) ?? source.path
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

    /// Those for this machine, indexes opened. - Throws: `ImageError` naming the platforms when there is none.
    private func choose(_ descriptors: [Descriptor], name: String, depth: Int = 0) throws -> [Descriptor] {
        guard depth < 4 else { throw ImageError("\(source.path) nests its indexes too deeply to be an image") }
        var chosen: [Descriptor] = []
        var others: [Platform] = []
        for descriptor in descriptors where !isAttestation(descriptor) {
            if let platform = descriptor.platform, !platform.runsHere {
                others.append(platform)
            } else if MediaType.isIndex(descriptor.mediaType) {
                let index = try decode(
                    ImageIndex.self, document(descriptor, "index"), "index \(descriptor.digest)")
                // Within an index, one image a platform.
                chosen += try choose(index.manifests, name: name, depth: depth + 1).prefix(1)
            } else if MediaType.isManifest(descriptor.mediaType) {
                chosen.append(descriptor)
            } else {
                throw ImageError("\(source.path) holds a \"\(descriptor.mediaType)\", which is not a container image")
            }
        }
        if chosen.isEmpty, !others.isEmpty {
            let list = others.prefix(8).map(\.description).joined(separator: ", ")
            throw ImageError(
                "image \(name) is for \(list); this machine runs \(Platform.guest): get the image for that")
        }
        // Several entries without a platform: their configurations say.
        guard chosen.count > 1 else { return chosen }
        let matching = chosen.filter { descriptor in
            guard descriptor.platform == nil,
                let manifest = try? OCIJSON.decode(ImageManifest.self, from: document(descriptor, "manifest")),
                let config = try? OCIJSON.decode(
                    ImageConfig.self, from: document(manifest.config, "configuration"))
            else { return true }
            return config.platform.runsHere
        }
        return matching.isEmpty ? [chosen[0]] : matching
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

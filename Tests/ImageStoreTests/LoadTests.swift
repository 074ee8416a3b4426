import Glibc
import OCISpec
import System
import Testing

@testable import ImageStore

@Suite struct LoadTests {
    static let fixture = ImageFixture()

    struct Form: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let make: @Sendable (Workspace) throws -> String
    }

    static let compressors = [("gzip", ["-k"]), ("zstd", ["-q", "-k"]), ("xz", ["-k"])]
    static let forms: [Form] =
        [
            Form(testDescription: "OCI layout directory") { try $0.directory("image", fixture.layout) },
            Form(testDescription: "OCI layout tar") { try $0.write("image.tar", tar(fixture.layout)) },
            Form(testDescription: "OCI layout tar, index first") {
                try $0.write("image.tar", tar(fixture.layout.reversed()))
            },
            Form(testDescription: "names with ./") {
                try $0.write(
                    "image.tar",
                    tar(
                        fixture.layout.map {
                            var piece = $0
                            piece.name = "./" + piece.name
                            return piece
                        }))
            },
            Form(testDescription: "docker archive") {
                try $0.write("image.tar", tar(fixture.dockerArchive(tags: ["fixture:latest"])))
            },
            Form(testDescription: "both documents, as recent Docker writes") {
                try $0.write(
                    "image.tar", tar(fixture.layout + fixture.dockerArchive(tags: ["fixture:latest"])))
            },
        ]
        + compressors.map { name, flags in
            Form(testDescription: "OCI layout tar by \(name)") { workspace in
                let plain = try workspace.write("image.tar", tar(fixture.layout))
                #expect(try workspace.run(name, flags + [plain]))
                return plain + [".gzip": ".gz", ".zstd": ".zst", ".xz": ".xz"]["." + name, default: ""]
            }
        }

    @Test(arguments: forms) func loads(_ form: Form) throws {
        let workspace = try Workspace()
        let store = try workspace.store()
        let loaded = try store.load(from: try form.make(workspace))
        #expect(loaded.map(\.reference?.description) == ["docker.io/library/fixture:latest"])
        let image = try store.resolve("fixture")
        #expect(image.config.config?.Cmd == ["sh"])
        #expect(image.layers.map(\.diffID) == Self.fixture.layers.map { Digest.of($0) })
        for (layer, bytes) in zip(image.layers, Self.fixture.layers) {
            #expect(try Files.read(store.location.blob(layer.digest)) == bytes)
            #expect(layer.compression == .none)
            #expect(layer.size == Int64(bytes.count))
        }
        // What is in the store is what its name says, and nothing else is there.
        for name in try Files.list(store.location.blobs) {
            #expect(Digest.of(try Files.read("\(store.location.blobs)/\(name)")).hex == name)
        }
        #expect(try Files.list(store.location.blobs).count == 4)
        #expect(try Files.list(store.location.temporary).isEmpty)
        #expect(try store.list() == [image])
    }

    /// What real tools write of the same image, where they are installed.
    @Test(arguments: ["oci-archive:OUT:fixture:latest", "docker-archive:OUT:fixture:latest", "oci:OUT:fixture:latest"])
    func loadsWhatSkopeoWrites(_ form: String) throws {
        let workspace = try Workspace()
        guard try workspace.run("skopeo", ["--version"]) else { return }
        // A directory: of an archive, skopeo gives the files to root, which an ordinary user may not.
        let plain = try workspace.directory("plain", Self.fixture.layout)
        let out = "\(workspace.path)/out"
        let target = form.split(separator: "OUT").joined(separator: out)
        #expect(
            try workspace.run("skopeo", ["copy", "--insecure-policy", "oci:\(plain)", target]),
            "skopeo: \((try? Files.readText(workspace.path + "/log")) ?? "")")
        let store = try workspace.store()
        #expect(try store.load(from: out).map(\.reference?.familiar) == ["fixture:latest"])
        #expect(try store.resolve("fixture").layers.map(\.diffID) == Self.fixture.layers.map { Digest.of($0) })
    }

    @Test func severalImagesOfADockerArchive() throws {
        var other = ImageFixture()
        other.layers[1] = other.layers[0]
        let first = Self.fixture.dockerArchive(tags: ["one", "two:2"])
        // Two images in one manifest.json, sharing a layer by link.
        let items = [(Self.fixture, ["one", "two:2"]), (other, ["three"])].map { fixture, tags in
            DockerArchivePlanner.Item(
                Config: "\(Digest.of(fixture.config).hex).json", RepoTags: tags,
                Layers: fixture.layers == other.layers
                    ? ["layer0/layer.tar", "again/layer.tar"] : ["layer0/layer.tar", "layer1/layer.tar"])
        }
        let pieces =
            first.filter { $0.name != "manifest.json" } + [
                Piece(name: "again/layer.tar", link: "../layer0/layer.tar"),
                Piece(name: "\(Digest.of(other.config).hex).json", bytes: other.config),
                Piece(name: "manifest.json", bytes: try OCIJSON.encode(items)),
            ]
        let workspace = try Workspace()
        let store = try workspace.store()
        let loaded = try store.load(from: try workspace.write("all.tar", tar(pieces)))
        #expect(loaded.map { $0.reference?.familiar } == ["one:latest", "two:2", "three:latest"])
        #expect(try store.resolve("three").layers[0].diffID == store.resolve("three").layers[1].diffID)
        #expect(throws: ImageError.self) { try store.load(from: workspace.path + "/all.tar", name: "x") }
    }

    @Test func choosesThisMachinesPlatform() throws {
        var foreign = ImageFixture()
        foreign.platform = Platform(architecture: "sparc64", os: "linux")
        foreign.layers = [tar([Piece(name: "foreign")])]
        var theirs = foreign.descriptor
        theirs.platform = foreign.platform
        var ours = Self.fixture.descriptor
        ours.platform = Platform.guest
        var attestation = theirs
        attestation.platform = Platform(architecture: "unknown", os: "unknown")
        let nested = try OCIJSON.encode(ImageIndex(manifests: [theirs, attestation, ours]))
        var outer = Descriptor(
            mediaType: MediaType.index, digest: Digest.of(nested).description, size: Int64(nested.count))
        outer.annotations = ["io.containerd.image.name": "docker.io/library/many:latest"]
        let pieces =
            Self.fixture.blobs + foreign.blobs + [
                Piece(name: "blobs/sha256/\(Digest.of(nested).hex)", bytes: nested), ImageFixture.index([outer]),
            ]
        let workspace = try Workspace()
        let store = try workspace.store()
        try store.load(from: try workspace.write("many.tar", tar(pieces)))
        #expect(try store.resolve("many").manifestDigest == Digest.of(Self.fixture.manifest))
        // The other platform's layers are not stored at all.
        #expect(try Files.list(store.location.blobs).count == 4)
    }

    /// Images of several platforms under one name, and what each wish brings.
    @Test(
        arguments: [
            (nil, 0), ("linux/arm64", 1), ("linux/arm/v7", 3), ("linux/arm/v6", 2), ("linux/arm", 3),
            ("linux/arm/v5", nil),
            ("linux/s390x", nil),
        ] as [(String?, Int?)])
    func choosesThePlatformThatIsAskedFor(_ text: String?, _ expected: Int?) throws {
        let platforms = [
            Platform.guest, Platform(architecture: "arm64", os: "linux", variant: "v8"),
            Platform(architecture: "arm", os: "linux", variant: "v6"),
            Platform(architecture: "arm", os: "linux", variant: "v7"),
        ]
        let images = platforms.enumerated().map { number, platform in
            var fixture = ImageFixture()
            fixture.platform = platform
            fixture.layers = [tar([Piece(name: "\(number)")])]
            return fixture
        }
        let descriptors = zip(images, platforms).map { image, platform in
            var descriptor = image.descriptor
            descriptor.platform = platform
            return descriptor
        }
        let workspace = try Workspace()
        let store = try workspace.store()
        let path = try workspace.write(
            "many.tar", tar(images.flatMap(\.blobs) + [ImageFixture.index(descriptors)]))
        let wish = try text.map { try #require(Platform($0)) }
        guard let expected else {
            let error = try #require(throws: ImageError.self) { try store.load(from: path, platform: wish) }
            #expect(error.description.contains("not for \(text ?? "")"))
            return
        }
        try store.load(from: path, platform: wish)
        #expect(try store.resolve("fixture").manifestDigest == Digest.of(images[expected].manifest))
    }

    /// An image that loses its name to one for another machine is kept without it; one for the same machine is not.
    @Test func aNameThatMovesToAnotherPlatform() throws {
        var foreign = ImageFixture()
        foreign.platform = Platform(architecture: "sparc64", os: "linux")
        foreign.layers[1] = tar([Piece(name: "foreign")])
        let workspace = try Workspace()
        let store = try workspace.store()
        let ours = try workspace.write("ours.tar", tar(Self.fixture.layout))
        let theirs = try workspace.write("theirs.tar", tar(foreign.dockerArchive(tags: ["fixture:latest"])))
        try store.load(from: ours)
        let refused = try #require(throws: ImageError.self) { try store.load(from: theirs) }
        #expect(refused.description.contains("--platform linux/sparc64"))
        try store.load(from: theirs, platform: foreign.platform)
        #expect(try store.resolve("fixture").config.platform == foreign.platform)
        #expect(try store.list().map(\.reference?.familiar) == ["fixture:latest", nil])
        #expect(try store.resolve(Digest.of(Self.fixture.manifest).short).config.platform == .guest)
        #expect(try store.verify().isWhole)
        // It is its turn again.
        try store.load(from: ours)
        #expect(try store.resolve("fixture").config.platform == .guest)
        #expect(try store.list().count == 2)
        #expect(try store.prune { $0.reference == nil }.removed.count == 1)
        #expect(try Files.list(store.location.blobs).count == 4)
    }

    @Test(
        arguments: [
            (nil, nil, "image.oci.tar", "image:latest"), ("nine", nil, "image.tar", "nine:latest"),
            (nil, "1.0", "image.tar", "image:1.0"), (nil, "app:2", "x.tar", "app:2"),
            (nil, "quay.io/a/b:3", "x.tar", "quay.io/a/b:3"), (nil, nil, "Wild Name!.tar", nil),
        ] as [(String?, String?, String, String?)])
    func names(_ override: String?, _ annotation: String?, _ file: String, _ expected: String?) throws {
        var fixture = ImageFixture()
        fixture.name = nil
        var descriptor = fixture.descriptor
        if let annotation { descriptor.annotations["org.opencontainers.image.ref.name"] = annotation }
        let workspace = try Workspace()
        let store = try workspace.store()
        let path = try workspace.write(file, tar(fixture.blobs + [ImageFixture.index([descriptor])]))
        #expect(try store.load(from: path, name: override).map { $0.reference?.familiar } == [expected])
        let digest = Digest.of(fixture.manifest)
        #expect(try store.resolve(digest.short).reference?.familiar == expected)
    }
}

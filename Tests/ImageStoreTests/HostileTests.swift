import Glibc
import OCISpec
import System
import Testing

@testable import ImageStore

/// What bad archives get: a sentence that names the thing, and a store as it was before.
@Suite struct HostileTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        /// Each must be in the message.
        let words: [String]
        let make: @Sendable (Workspace) throws -> String
    }

    static let fixture = ImageFixture()

    static func archive(_ change: @escaping @Sendable (inout [Piece]) -> Void) -> @Sendable (Workspace) throws -> String
    {
        { workspace in
            var pieces = fixture.layout
            change(&pieces)
            return try workspace.write("image.tar", tar(pieces))
        }
    }

    static func image(_ change: @escaping @Sendable (inout ImageFixture) -> Void)
        -> @Sendable (Workspace) throws -> String
    {
        { workspace in
            var changed = fixture
            change(&changed)
            return try workspace.write("image.tar", tar(changed.layout))
        }
    }

    static func index(_ text: String) -> @Sendable (Workspace) throws -> String {
        { try $0.write("image.tar", tar([Piece(name: "index.json", bytes: Array(text.utf8))])) }
    }

    static let layer = Digest.of(fixture.layers[0])
    static let bare = #""schemaVersion":2"#

    static let cases: [Case] = [
        Case(testDescription: "no such file", words: ["/nowhere", "No such file"]) { _ in "/nowhere" },
        Case(testDescription: "an empty file", words: ["not an image archive"]) { try $0.write("x", []) },
        Case(testDescription: "a text", words: ["x is not an image archive"]) {
            try $0.write("x", Array(String(repeating: "hello\n", count: 400).utf8))
        },
        Case(testDescription: "an empty tar", words: ["empty archive"]) { try $0.write("x", tar([])) },
        Case(testDescription: "an empty directory", words: ["not an image", "index.json"]) {
            try Files.makeDirectories($0.path + "/d")
            return $0.path + "/d"
        },
        Case(testDescription: "a tar of something else", words: ["neither index.json"]) {
            try $0.write("x", tar([Piece(name: "etc/passwd", bytes: [1])]))
        },
        Case(
            testDescription: "a layer's content changed",
            words: [layer.description, "is damaged", "its content is sha256:"],
            make: archive { $0[0].bytes[0] ^= 1 }),
        Case(
            testDescription: "a layer cut short, header and all", words: ["bytes where its manifest says"],
            make: archive { $0[0].bytes.removeLast() }),
        Case(
            testDescription: "a layer is missing", words: ["lacks layer \(layer)"], make: archive { $0.remove(at: 0) }),
        Case(
            testDescription: "the configuration changed", words: ["configuration sha256:", "is damaged"],
            make: archive { $0[2].bytes[0] ^= 1 }),
        Case(
            testDescription: "the manifest is missing", words: ["lacks manifest sha256:"],
            make: archive { $0.remove(at: 3) }),
        Case(testDescription: "two of index.json", words: ["index.json", "twice"], make: archive { $0.append($0[5]) }),
        Case(testDescription: "the archive cut in a layer", words: ["truncated"]) {
            try $0.write("image.tar", Array(tar(fixture.layout.reversed()).dropLast(1024 + 3 * 512)))
        },
        Case(testDescription: "a gzip cut short", words: ["truncated"]) { workspace in
            let plain = try workspace.write("image.tar", tar(fixture.layout))
            #expect(try workspace.run("gzip", [plain]))
            return try workspace.write("cut.tar.gz", Array(try Files.read(plain + ".gz").dropLast(40)))
        },
        Case(testDescription: "no layers", words: ["has no layers"], make: image { $0.layers = [] }),
        Case(
            testDescription: "another architecture", words: ["linux/sparc64", Platform.guest.description],
            make: image { $0.platform.architecture = "sparc64" }),
        Case(testDescription: "another system", words: ["windows/"], make: image { $0.platform.os = "windows" }),
        Case(
            testDescription: "a layer of an unknown type", words: ["text/plain"],
            make: image { $0.layerType = "text/plain" }),
        Case(
            testDescription: "too many layers", words: ["501 layers"],
            make: image { $0.layers = (0..<501).map { tar([Piece(name: "\($0)")]) } }),
        Case(testDescription: "an index of a gigabyte", words: ["index.json", "1.0 GiB"]) { workspace in
            // The header alone: what is not there must not be asked for.
            let bytes = tar([Piece(name: "index.json", bytes: [0x7b], claimedSize: 1 << 30)])
            let path = try workspace.write("x.tar", bytes)
            let file = try FileDescriptor.open(path, O_WRONLY)
            #expect(ftruncate(file.raw, (1 << 30) + 4096) == 0)
            return path
        },
        Case(
            testDescription: "a manifest that claims a gigabyte", words: ["1.0 GiB"],
            make: index(
                "{\(bare),\"manifests\":[{\"mediaType\":\"\(MediaType.manifest)\",\"digest\":\"\(layer)\",\"size\":1073741824}]}"
            )),
        Case(testDescription: "a layer of a negative size", words: ["damaged", "negative size"]) { workspace in
            var bytes = tar(fixture.layout)
            // Base-256: the size -1.
            bytes.replaceSubrange(124..<136, with: [UInt8](repeating: 0xff, count: 12))
            bytes.replaceSubrange(148..<156, with: Array("        ".utf8))
            let sum = bytes[0..<512].reduce(0) { $0 + Int($1) }
            bytes.replaceSubrange(148..<155, with: Array(("0" + String(sum, radix: 8) + "\u{0}").utf8.suffix(7)))
            return try workspace.write("x.tar", bytes)
        },
        Case(
            testDescription: "index.json is not JSON", words: ["index.json", "not valid JSON"], make: index("nonsense")),
        Case(testDescription: "an empty index", words: ["holds no image"], make: index("{\(bare),\"manifests\":[]}")),
        Case(
            testDescription: "a digest that is a path", words: ["not a sha256 digest", "../"],
            make: index(
                "{\(bare),\"manifests\":[{\"mediaType\":\"\(MediaType.manifest)\",\"digest\":\"sha256:../../x\",\"size\":1}]}"
            )),
        Case(
            testDescription: "something else than an image", words: ["application/x", "not a container image"],
            make: index(
                "{\(bare),\"manifests\":[{\"mediaType\":\"application/x\",\"digest\":\"\(layer)\",\"size\":1}]}")),
        Case(testDescription: "a bad name", words: ["is not an image name"], make: image { $0.name = "../../etc" }),
        Case(testDescription: "a directory whose file is a link out", words: ["leads out of the directory"]) {
            workspace in
            let path = try workspace.directory("image", fixture.layout)
            unlink(path + "/index.json")
            #expect(symlink("/etc/passwd", path + "/index.json") == 0)
            return path
        },
        Case(testDescription: "docker: configuration changed", words: ["configuration", "is damaged"]) {
            var pieces = fixture.dockerArchive(tags: ["a"])
            pieces[2].bytes[0] ^= 1
            return try $0.write("x.tar", tar(pieces))
        },
        Case(testDescription: "docker: a layer changed", words: [layer.description, "is damaged"]) {
            var pieces = fixture.dockerArchive(tags: ["a"])
            pieces[0].bytes[0] ^= 1
            return try $0.write("x.tar", tar(pieces))
        },
        Case(testDescription: "docker: links in a circle", words: ["lacks layer"]) {
            var pieces = fixture.dockerArchive(tags: ["a"])
            pieces[0] = Piece(name: "layer0/layer.tar", link: "../layer1/layer.tar")
            pieces[1] = Piece(name: "layer1/layer.tar", link: "../layer0/layer.tar")
            return try $0.write("x.tar", tar(pieces))
        },
        Case(testDescription: "docker: a link out of the archive", words: ["lacks layer"]) {
            var pieces = fixture.dockerArchive(tags: ["a"])
            pieces[0] = Piece(name: "layer0/layer.tar", link: "/etc/passwd")
            return try $0.write("x.tar", tar(pieces))
        },
        Case(testDescription: "docker: layers and configuration disagree", words: ["inconsistent", "3 layers"]) {
            var pieces = fixture.dockerArchive(tags: ["a"])
            let item = DockerArchivePlanner.Item(
                Config: pieces[2].name, RepoTags: [], Layers: Array(repeating: "layer0/layer.tar", count: 3))
            pieces[3].bytes = try OCIJSON.encode([item])
            return try $0.write("x.tar", tar(pieces))
        },
    ]

    @Test(arguments: cases) func isRefused(_ test: Case) throws {
        let workspace = try Workspace()
        let store = try workspace.store()
        let path = try test.make(workspace)
        let error = try #require(throws: ImageError.self) { try store.load(from: path) }
        for word in test.words { #expect(error.description.contains(word), "\(error)") }
        #expect(!error.description.contains("\n"))
        #expect(try store.list().isEmpty)
        #expect(try Files.list(store.location.temporary).isEmpty)
        // Layers that were whole may have come in; a collection takes them.
        try store.collect()
        #expect(try Files.list(store.location.blobs).isEmpty)
    }

    /// A full disk: a sentence, and the store as before. Needs a small filesystem, and so root.
    @Test(.enabled(if: geteuid() == 0)) func fullDisk() throws {
        let workspace = try Workspace()
        let small = workspace.path + "/store"
        try Files.makeDirectories(small, mode: 0o755)
        guard try workspace.run("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", small]) else { return }
        defer { umount2(small, 2) }
        let store = try workspace.store()
        var fixture = ImageFixture()
        fixture.layers.append(tar([Piece(name: "big", bytes: [UInt8](repeating: 7, count: 1 << 20))]))
        let path = try workspace.write("image.tar", tar(fixture.layout))
        let refused = try #require(throws: ImageError.self) { try store.load(from: path) }
        #expect(refused.description.contains("no space left on \(small)"))
        #expect(refused.description.contains("CLOISTER_DATA"))
        // Found out in the middle of writing: the disk's last inodes and blocks go to others meanwhile.
        let error = ImageError.explaining(SystemError("write", "x", errno: ENOSPC), at: small, doing: "loading x")
        #expect("\(error)".contains("no space left on \(small) while loading x"))
        #expect(try store.list().isEmpty)
        #expect(try Files.list(store.location.temporary).isEmpty)
        #expect(try Files.list(store.location.blobs).isEmpty)
    }
}

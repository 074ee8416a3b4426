import OCISpec
import Testing

@testable import ImageStore

@Suite struct NameRulesTests {
    static let hex = String(repeating: "0123456789abcdef", count: 4)
    static let aliases = [
        "alpine": "quay.io/base/alpine", "team/tool": "localhost:5000/tool", "my.app": "docker.io/me/app",
    ]

    func rules(_ registry: String? = nil, _ aliases: [String: String] = aliases) throws -> NameRules {
        try NameRules(defaultRegistry: registry, aliases: aliases)
    }

    @Test(
        arguments: [
            ("alias", nil, "alpine", "quay.io/base/alpine:latest"),
            ("its tag", nil, "alpine:3", "quay.io/base/alpine:3"),
            ("its digest", nil, "alpine:3@sha256:\(hex)", "quay.io/base/alpine:3@sha256:\(hex)"),
            ("of two parts", nil, "team/tool", "localhost:5000/tool:latest"),
            ("with a dot", nil, "my.app:x", "docker.io/me/app:x"),
            ("another path", nil, "library/alpine", "docker.io/library/alpine:latest"),
            ("none", nil, "debian", "docker.io/library/debian:latest"),
            ("whole", nil, "docker.io/library/alpine", "docker.io/library/alpine:latest"),
            ("whole, in short", nil, "docker.io/alpine:3", "docker.io/library/alpine:3"),
            ("of this machine", nil, "localhost/alpine", "localhost/alpine:latest"),
            ("alias before registry", "x.y:5000", "alpine:3", "quay.io/base/alpine:3"),
            ("registry", "x.y:5000", "debian:12", "x.y:5000/debian:12"),
            ("registry, digest", "x.y", "debian@sha256:\(hex)", "x.y/debian@sha256:\(hex)"),
            ("registry, path", "x.y", "a/b/c", "x.y/a/b/c:latest"),
            ("registry, whole", "x.y", "docker.io/debian", "docker.io/library/debian:latest"),
            ("registry, other", "x.y", "localhost:1/debian", "localhost:1/debian:latest"),
            ("Docker's, said", "docker.io", "debian", "docker.io/library/debian:latest"),
            ("Docker's of old", "index.docker.io", "a/b", "docker.io/a/b:latest"),
            ("this machine", "localhost", "a", "localhost/a:latest"),
            ("by address", "[::1]:5000", "a", "[::1]:5000/a:latest"),
        ] as [(String, String?, String, String)])
    func reads(_ name: String, _ registry: String?, _ text: String, _ whole: String) throws {
        let rules = try rules(registry)
        let reference = try rules.reference(text)
        #expect(reference.description == whole)
        // What is shown is read as the same.
        #expect(try rules.reference(rules.shown(reference)) == reference)
    }

    @Test func whatWouldBeReadAsAnotherIsShownWhole() throws {
        let alpine = try ImageReference("docker.io/library/alpine:3")
        let debian = try ImageReference("docker.io/library/debian:3")
        #expect(NameRules().shown(alpine) == "alpine:3")
        #expect(try rules().shown(alpine) == "docker.io/library/alpine:3")
        #expect(try rules().shown(debian) == "debian:3")
        #expect(try rules("x.y").shown(debian) == "docker.io/library/debian:3")
        #expect(try rules("x.y").shown("sha256:\(Self.hex)") == "sha256:\(Self.hex)")
        #expect(try rules("x.y").registry == "x.y")
        #expect(try rules().registry == "docker.io")
    }

    @Test(arguments: ["", "a b", "A", "a:", hex, "alpine:-", "alpine@sha256:1"])
    func refusesWhatIsNoName(_ text: String) throws {
        let rules = try rules("x.y")
        #expect(throws: ImageError.self) { try rules.reference(text) }
    }

    @Test(arguments: [
        "", "quay", "x.y/", "x.y/mirror", "https://x.y", "x.y:", "x.y:port", "-x.y", "x y.z", "docker.io/library",
        "a@b.c",
    ])
    func refusesWhatIsNoRegistry(_ text: String) {
        #expect { try rules(text) } throws: { ($0 as? NameRules.Mistake)?.key == "default_registry" }
    }

    @Test(arguments: [
        ("alpine", ""), ("alpine", "alpine"), ("alpine", "base/alpine"), ("alpine", "quay.io/alpine:3"),
        ("alpine", "quay.io/alpine@sha256:\(hex)"), ("alpine", "quay.io/"), ("alpine", "quay.io/A"), ("alpine", hex),
        ("alpine:3", "quay.io/alpine"), ("quay.io/alpine", "quay.io/b"), ("docker.io/alpine", "quay.io/b"),
        ("", "quay.io/b"),
        ("Alpine", "quay.io/b"), (hex, "quay.io/b"), ("a@sha256:\(hex)", "quay.io/b"), ("localhost/a", "quay.io/b"),
    ])
    func refusesWhatIsNoAlias(_ name: String, _ target: String) {
        #expect { try rules(nil, [name: target]) } throws: { ($0 as? NameRules.Mistake)?.key == "aliases.\(name)" }
    }

    /// Everything that takes a name reads it by the rules; what was stored before is found by its whole name.
    @Test func theStoreReadsNamesByTheRules() throws {
        let workspace = try Workspace()
        let path = try workspace.write("archive.tar", tar(ImageFixture(name: "docker.io/library/alpine:3").layout))
        try workspace.store().load(from: path)
        let store = try ImageStore(
            StoreLocation(root: workspace.path + "/store"), names: try rules("x.y", ["alpine": "quay.io/base/alpine"]))
        #expect(try store.find("alpine:3") == nil)
        #expect(throws: ImageError.self) { try store.remove("alpine:3") }
        let old = try store.resolve("docker.io/library/alpine:3")
        #expect(old.displayName == "docker.io/library/alpine:3")
        #expect(try store.tag("docker.io/alpine:3", as: "alpine:3").description == "quay.io/base/alpine:3")
        #expect(try store.resolve("alpine:3").displayName == "quay.io/base/alpine:3")
        #expect(try store.resolve("quay.io/base/alpine:3").manifestDigest == old.manifestDigest)
        #expect(try store.tag("alpine:3", as: "mine").description == "x.y/mine:latest")
        #expect(
            try store.inspect("mine").names.sorted() == [
                "docker.io/library/alpine:3", "quay.io/base/alpine:3", "x.y/mine:latest",
            ])
        #expect(try store.load(from: path, name: "other").map(\.reference?.description) == ["x.y/other:latest"])
        #expect(try store.remove("alpine:3") == ["quay.io/base/alpine:3"])
        // A name that a file has means what it means everywhere; one made of the file's name is read as a person's.
        let nameless = try workspace.write("nameless.tar", tar(ImageFixture(name: nil).layout))
        #expect(try store.load(from: nameless).map(\.reference?.description) == ["x.y/nameless:latest"])
        #expect(try store.load(from: path).map(\.reference?.description) == ["docker.io/library/alpine:3"])
    }
}

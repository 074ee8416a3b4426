import Glibc
import OCISpec
import System
import Testing

@testable import ImageStore

@Suite struct StoreTests {
    @Test func resolvesByNameAndId() throws {
        let workspace = try Workspace()
        let store = try workspace.store()
        try store.load(from: try workspace.write("image.tar", tar(ImageFixture().layout)))
        let digest = Digest.of(ImageFixture().manifest)
        let config = Digest.of(ImageFixture().config)
        for name in [
            "fixture", "fixture:latest", "docker.io/library/fixture", digest.short, digest.hex, digest.description,
            config.short, "fixture@\(digest)",
        ] { #expect(try store.resolve(name).manifestDigest == digest, "\(name)") }
        for name in ["other", "fixture:2", "quay.io/fixture", "0000", "other@\(digest)", "Fix", "", "sha256:"] {
            #expect(throws: ImageError.self, "\(name)") { try store.resolve(name) }
        }
        let error = try #require(throws: ImageError.self) { try store.resolve("other") }
        #expect(error.description.contains("\"other:latest\""))
        #expect(error.description.contains("cloister image load"))
    }

    @Test func aNameMovesToTheNewImage() throws {
        let workspace = try Workspace()
        let store = try workspace.store()
        try store.load(from: try workspace.write("image.tar", tar(ImageFixture().layout)))
        var newer = ImageFixture()
        newer.layers[1] = tar([Piece(name: "new")])
        try store.load(from: try workspace.write("newer.tar", tar(newer.layout)))
        #expect(try store.list().map(\.manifestDigest) == [Digest.of(newer.manifest)])
        // The old image's own content went with its name.
        #expect(try Files.list(store.location.blobs).count == 4)
    }

    @Test func anImageWithTwoNamesLosesThemOneByOne() throws {
        let workspace = try Workspace()
        let store = try workspace.store()
        let path = try workspace.write("image.tar", tar(ImageFixture().layout))
        try store.load(from: path)
        try store.load(from: path, name: "second")
        #expect(try store.list().map(\.displayName) == ["fixture:latest", "second:latest"])
        #expect(try store.remove("second") == ["docker.io/library/second:latest"])
        #expect(try store.resolve("fixture").layers.count == 2)
        try store.load(from: path, name: "second")
        #expect(try store.remove(Digest.of(ImageFixture().manifest).short).count == 2)
        #expect(try store.list().isEmpty)
    }

    @Test func whatACrashLeftIsCollected() throws {
        let workspace = try Workspace()
        let store = try workspace.store()
        let stale = store.location.temporary + "/1.2"
        try Files.makeDirectories(stale)
        try Files.write(stale + "/1", [1])
        try Files.write(store.location.blobs + "/" + Digest.of([1]).hex, [1])
        try Files.write(store.location.references + ".tmp.1.2", [1])
        let live = try TemporaryArea(store.location)
        try store.collect()
        #expect(try Files.list(store.location.temporary).map { "\(store.location.temporary)/\($0)" } == [live.path])
        #expect(try Files.list(store.location.blobs).isEmpty)
        #expect(!Files.exists(store.location.references + ".tmp.1.2"))
    }

    @Test func manyLoadAndRemoveAtOnce() throws {
        let workspace = try Workspace()
        let root = try workspace.store().location
        let done = Guarded<[String?]>([])
        for number in 0..<8 {
            var fixture = ImageFixture(name: "docker.io/library/image\(number):latest")
            fixture.layers[1] = tar([Piece(name: "\(number / 2)")])
            let path = try workspace.write("\(number).tar", tar(fixture.layout))
            Thread.start("loader") {
                let failure: String?
                do {
                    let store = try ImageStore(root)
                    try store.load(from: path)
                    if number % 2 == 0 { try store.remove("image\(number)") }
                    failure = nil
                } catch { failure = "\(error)" }
                done.withLock { $0.append(failure) }
            }
        }
        let failures = done.wait(timeout: .seconds(60)) { $0.count == 8 ? $0 : nil }
        #expect(failures?.compactMap { $0 } == [])
        let store = try workspace.store()
        #expect(try store.list().map(\.displayName) == [1, 3, 5, 7].map { "image\($0):latest" })
        for image in try store.list() {
            #expect(image.layers.allSatisfy { Files.exists(store.location.blob($0.digest)) })
        }
    }

    @Test func rottenContentIsNoticed() throws {
        let workspace = try Workspace()
        let store = try workspace.store()
        try store.load(from: try workspace.write("image.tar", tar(ImageFixture().layout)))
        let manifest = Digest.of(ImageFixture().manifest)
        try Files.write(store.location.blob(manifest), Array("{}".utf8))
        let error = try #require(throws: ImageError.self) { try store.resolve("fixture") }
        #expect(error.description.contains("damaged; load the image again"))
        #expect(try store.list().isEmpty)
        try store.load(from: workspace.path + "/image.tar")
        #expect(try store.resolve("fixture").manifestDigest == manifest)
    }

    @Test func detailsSayWhatIsKnown() throws {
        let workspace = try Workspace()
        let store = try workspace.store()
        let path = try workspace.write("image.tar", tar(ImageFixture().layout))
        try store.load(from: path)
        try store.load(from: path, name: "quay.io/a/b:c")
        let details = try store.inspect("fixture")
        #expect(details.names == ["fixture:latest", "quay.io/a/b:c"])
        #expect(details.id == Digest.of(ImageFixture().manifest).description)
        #expect(details.platform == Platform.guest.description)
        #expect(details.config.Cmd == ["sh"])
        #expect(details.layers.map(\.unpacked) == [false, false])
        #expect(details.sizeInBytes == Int64(ImageFixture().layers.reduce(0) { $0 + $1.count }))
    }

    @Test func theStandardPlace() throws {
        func place(_ variables: [String: String]) throws -> String {
            try StoreLocation.standard { variables[$0] }.root
        }
        #expect(try place(["CLOISTER_DATA": "/x"]) == "/x")
        #expect(throws: ImageError.self) { try place(["CLOISTER_DATA": "x"]) }
        if geteuid() == 0 {
            #expect(try place(["HOME": "/h"]) == "/var/lib/cloister")
        } else {
            #expect(try place(["HOME": "/h"]) == "/h/.local/share/cloister")
            #expect(try place(["HOME": "/h", "XDG_DATA_HOME": "/d"]) == "/d/cloister")
        }
    }
}

import Glibc
import OCISpec
import Storage
import System
import Testing

@testable import ImageStore

/// Tagging, saving, pruning, verifying, and collections that wait for nobody.
@Suite struct UpkeepTests {
    let workspace: Workspace
    let store: ImageStore
    let path: String

    init() throws {
        workspace = try Workspace()
        store = try workspace.store()
        path = try workspace.write("image.tar", tar(ImageFixture().layout))
        try store.load(from: path)
    }

    /// Changes a byte as a disk does that rots: neither size nor time tell.
    private func rot(_ path: String, at offset: off_t = 0) throws {
        var info = stat()
        try #require(stat(path, &info) == 0)
        chmod(path, 0o644)
        let file = try FileDescriptor.open(path, O_RDWR)
        var byte: [UInt8] = [0]
        #expect(pread(file.raw, &byte, 1, offset) == 1)
        byte[0] ^= 0xff
        #expect(pwrite(file.raw, &byte, 1, offset) == 1)
        var times = [info.st_atim, info.st_mtim]
        futimens(file.raw, &times)
    }

    private func problems(_ found: Verification) -> [String] {
        found.findings.filter { $0.state != .harmless }.map { "\($0.kind.rawValue) \($0.state.rawValue)" }.sorted()
    }

    private var layer: Digest { Digest.of(ImageFixture().layers[0]) }

    @Test func aTagIsANameMore() throws {
        try store.tag("fixture", as: "quay.io/a/b")
        try store.tag(Digest.of(ImageFixture().manifest).short, as: "third:3")
        #expect(try store.list().map(\.displayName) == ["fixture:latest", "quay.io/a/b:latest", "third:3"])
        #expect(throws: ImageError.self) { try store.tag("not-there", as: "x") }
        #expect(throws: ImageError.self) { try store.tag("fixture", as: "x@\(layer)") }
        #expect(throws: ImageError.self) { try store.tag("fixture", as: "UPPER") }
    }

    @Test func aTagThatMovesTakesTheOldImageAlong() throws {
        var other = ImageFixture(name: "docker.io/library/other:latest")
        other.layers[1] = tar([Piece(name: "c")])
        try store.load(from: try workspace.write("other.tar", tar(other.layout)))
        try store.tag("fixture", as: "other")
        #expect(try store.list().map(\.displayName) == ["fixture:latest", "other:latest"])
        #expect(try Files.list(store.location.blobs).count == 4)
    }

    @Test(arguments: ["index.json", "manifest.json"])
    func whatIsSavedIsLoadedTheSame(_ reader: String) throws {
        try store.tag("fixture", as: "quay.io/a/b:c")
        let target = workspace.path + "/saved.tar"
        let file = try FileDescriptor.open(target, O_WRONLY | O_CREAT, mode: 0o600)
        try store.save(["fixture", "quay.io/a/b:c"], to: file.raw, path: target)
        let second = try ImageStore(StoreLocation(root: workspace.path + "/second"))
        if reader == "index.json" {
            try second.load(from: target)
            #expect(try second.resolve("fixture").manifestDigest == store.resolve("fixture").manifestDigest)
        } else {
            let plans = try DockerArchivePlanner(source: try ArchiveSource(target)).plan(
                try #require(try ArchiveSource(target).document("manifest.json")))
            #expect(plans.flatMap(\.references).map(\.familiar) == ["fixture:latest", "quay.io/a/b:c"])
            #expect(plans.map { $0.layers.map(\.expected) } == [ImageFixture().layers.map { Digest.of($0) }])
        }
    }

    @Test func aDamagedLayerIsNotSaved() throws {
        try rot(store.location.blob(layer))
        let file = try FileDescriptor.open("/dev/null", O_WRONLY)
        let error = try #require(throws: ImageError.self) { try store.save(["fixture"], to: file.raw, path: "x") }
        #expect(error.description.contains("\(layer)") && error.description.contains("damaged"))
    }

    @Test func pruneKeepsWhatHasANameOrIsUsed() throws {
        var other = ImageFixture(name: nil)
        other.layers[1] = tar([Piece(name: "c")])
        try store.load(from: try workspace.directory("UPPER:", other.layout))
        #expect(try store.list().map { $0.reference == nil } == [false, true])
        let disks = try store.ensureLayers(try store.resolve("fixture"), builder: LayerCacheTests.FakeBuilder())
        var pruned = try store.prune { $0.reference == nil }
        #expect(pruned.removed == [Digest.of(other.manifest).description])
        #expect(pruned.freedInBytes > 0 && !pruned.isLeftToOthers)
        pruned = try store.prune { _ in true }
        #expect(pruned.removed.isEmpty)
        #expect(try store.usage().map(\.used) == [1, 2, 0])
        disks[0].disk.withUse()
    }

    @Test func usageCountsWhatIsThere() throws {
        try Files.write(store.location.partial + "/" + layer.hex, [UInt8](repeating: 1, count: 8192))
        let usage = try store.usage()
        #expect(usage.map(\.kind) == [.images, .disks, .unfinished])
        #expect(usage.map(\.count) == [1, 0, 1])
        #expect(usage[2].freeableInBytes == 8192)
        #expect(usage[0].freeableInBytes == usage[0].sizeInBytes)
        #expect(try store.prune(keepsPauses: false) { _ in true }.removed.count == 1)
        #expect(try store.usage().map(\.sizeInBytes) == [0, 0, 0])
    }

    @Test func aWholeStoreIsFoundWhole() throws {
        try Files.makeDirectories(store.location.temporary + "/1.2")
        try Files.write(store.location.partial + "/" + layer.hex, [1])
        let found = try store.verify()
        #expect(found.isWhole && (found.images, found.blobs) == (1, 4))
        #expect(found.findings.map(\.kind) == [.leftover, .leftover])
    }

    @Test func aRottenLayerIsFoundRemovedAndBroughtBack() throws {
        try rot(store.location.blob(layer))
        #expect(problems(try store.verify()) == ["content damaged", "image damaged"])
        #expect(problems(try store.verify(repair: true)) == ["content repaired", "image damaged"])
        #expect(try Files.list(store.location.blobs).count == 3)
        let found = try store.verify()
        #expect(problems(found) == ["image damaged"])
        #expect(found.findings[0].remedy.contains("cloister pull fixture:latest"))
        try store.load(from: path)
        #expect(try store.verify().findings.isEmpty)
    }

    @Test func aLoadReplacesWhatRotted() throws {
        try rot(store.location.blob(layer))
        try store.load(from: path)
        #expect(try store.verify().findings.isEmpty)
    }

    @Test func anUnpackThatMeetsRotRemovesIt() throws {
        try rot(store.location.blob(layer))
        let other = Digest.of([9])
        let builder = LayerCacheTests.FakeBuilder(answer: { _ in other })
        let image = try store.resolve("fixture")
        let error = try #require(throws: ImageError.self) { try store.ensureLayers(image, builder: builder) }
        #expect(error.description.contains("cloister pull"))
        #expect(!Files.exists(store.location.blob(layer)))
    }

    @Test func aListThatCannotBeReadIsMadeAnew() throws {
        try Files.write(store.location.references, Array("{".utf8))
        #expect(problems(try store.verify()) == ["list damaged"])
        #expect(problems(try store.verify(repair: true)) == ["list repaired"])
        #expect(try store.list().map(\.manifestDigest) == [Digest.of(ImageFixture().manifest)])
        #expect(try Files.list(store.location.blobs).count == 4)
    }

    @Test(arguments: ["cut", "touched", "rotten"])
    func aDamagedDiskIsFoundAndRemoved(_ damage: String) throws {
        let image = try store.resolve("fixture")
        let path = try store.ensureLayers(image, builder: LayerCacheTests.FakeBuilder())[0].disk.path
        #expect(try store.verify().isWhole)
        switch damage {
        case "cut":
            chmod(path, 0o644)
            truncate(path, 4096)
        case "touched": utimes(path, nil)
        default: try rot(path)
        }
        #expect(problems(try store.verify()) == ["disk damaged"])
        #expect(problems(try store.verify(repair: true)) == ["disk repaired"])
        #expect(try store.verify().isWhole && !Files.exists(path))
    }

    /// Writes more blocks than are looked at when a container starts.
    private struct LargeBuilder: LayerBuilder {
        func unpack(_ jobs: [UnpackJob]) throws -> [UnpackResult] {
            try jobs.map { job in
                let file = try FileDescriptor.open(job.diskPath, O_WRONLY)
                let bytes = [UInt8](repeating: 7, count: 4 << 20)
                #expect(pwrite(file.raw, bytes, bytes.count, 100 << 20) == bytes.count)
                return UnpackResult(diffID: job.expectedDiffID, entries: 1, bytes: 1, completeness: .anywhere)
            }
        }
    }

    @Test func rotThatNoStartSeesIsFound() throws {
        let path = try store.ensureLayers(try store.resolve("fixture"), builder: LargeBuilder())[0].disk.path
        #expect(try store.verify().isWhole)
        let proof = try DiskProof(of: path)
        try rot(path, at: off_t((100 << 20) + 100 * 4096 + 5))
        try #require(try DiskProof(of: path) == proof)
        #expect(problems(try store.verify()) == ["disk damaged"])
    }

    @Test func aDigestOfADiskIsOfItsContent() throws {
        let one = try workspace.write("one", [UInt8](repeating: 0, count: 20000) + [1, 2, 3])
        let two = "\(workspace.path)/two"
        let file = try FileDescriptor.open(two, O_WRONLY | O_CREAT, mode: 0o644)
        let before = try DiskContent.digest(of: two)
        #expect(pwrite(file.raw, [UInt8]([1, 2, 3]), 3, 20000) == 3)
        #expect(try DiskContent.digest(of: one) == DiskContent.digest(of: two))
        #expect(try DiskContent.digest(of: two) != before)
        #expect(pwrite(file.raw, [UInt8]([1, 2, 3]), 3, 16000) == 3)
        #expect(try DiskContent.digest(of: one) != DiskContent.digest(of: two))
    }

    @Test func theLimitHoldsBeforeAnythingIsWritten() throws {
        let small = try ImageStore(StoreLocation(root: workspace.path + "/small"), limitInBytes: 1000)
        let error = try #require(throws: ImageError.self) { try small.load(from: path) }
        #expect(error.description.contains("image_store_limit"))
        #expect(try Files.list(small.location.blobs).isEmpty)
        let large = try ImageStore(StoreLocation(root: workspace.path + "/small"), limitInBytes: 1 << 20)
        try large.load(from: path)
    }

    /// `flock` is of open files, so that two in one process are as two processes are.
    @Test func removalDoesNotWaitForWhoAdds() throws {
        let adding = try FileLock.acquire(store.location.lock, .shared)
        try store.remove("fixture")
        #expect(try store.list().isEmpty)
        #expect(try Files.list(store.location.blobs).count == 4)
        #expect(store.isCollectionWanted)
        adding.release()
        // Whoever added ends with this.
        #expect(try store.collect() != nil)
        #expect(try Files.list(store.location.blobs).isEmpty && !store.isCollectionWanted)
    }
}

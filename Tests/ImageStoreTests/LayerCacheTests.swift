import Glibc
import OCISpec
import Storage
import System
import Testing

@testable import ImageStore

@Suite struct LayerCacheTests {
    /// Writes the blob's size into the disk, and says what it is told to.
    struct FakeBuilder: LayerBuilder {
        let built = Guarded<[String]>([])
        let below = Guarded<[[String]?]>([])
        var answer: @Sendable (UnpackJob) throws -> Digest = { $0.expectedDiffID }
        var completeness = UnpackResult.Completeness.anywhere

        func unpack(_ jobs: [UnpackJob]) throws -> [UnpackResult] {
            try jobs.map { job in
                #expect(try Files.read(job.blobPath).count == Int(job.blobSizeInBytes))
                let file = try FileDescriptor.open(job.diskPath, O_WRONLY)
                #expect(pwrite(file.raw, "content", 7, 1 << 20) == 7)
                built.withLock { $0.append(job.diskPath) }
                below.withLock { $0.append(job.disksBelow) }
                return UnpackResult(diffID: try answer(job), entries: 1, bytes: 3, completeness: completeness)
            }
        }

        var count: Int { built.withLock { $0.count } }
    }

    let workspace: Workspace
    let store: ImageStore
    let image: StoredImage

    init() throws {
        workspace = try Workspace()
        store = try workspace.store()
        try store.load(from: try workspace.write("image.tar", tar(ImageFixture().layout)))
        image = try store.resolve("fixture")
    }

    @Test func eachLayerIsBuiltOnce() throws {
        let builder = FakeBuilder()
        let disks = try store.ensureLayers(image, builder: builder)
        #expect(disks.map(\.disk.path) == image.layers.map { "\(store.location.layers)/\($0.diffID.hex).img" })
        #expect(builder.count == 2)
        #expect(try store.ensureLayers(image, builder: builder).map(\.disk.path) == disks.map(\.disk.path))
        #expect(builder.count == 2)
        var info = stat()
        #expect(stat(disks[0].disk.path, &info) == 0)
        #expect(info.st_mode & 0o777 == 0o444)
    }

    @Test(arguments: ["truncated", "overwritten", "no proof", "proof of another", "gone", "half made"])
    func damagedDisksAreBuiltAnew(_ damage: String) throws {
        let builder = FakeBuilder()
        let path = try store.ensureLayers(image, builder: builder)[0].disk.path
        let proof = String(path.dropLast(4)) + ".json"
        switch damage {
        case "truncated":
            chmod(path, 0o644)
            #expect(truncate(path, 4096) == 0)
        case "overwritten":
            chmod(path, 0o644)
            let file = try FileDescriptor.open(path, O_WRONLY)
            #expect(pwrite(file.raw, "rot", 3, 1 << 20) == 3)
        case "no proof": unlink(proof)
        case "proof of another":
            let other = String(try store.ensureLayers(image, builder: builder)[1].disk.path.dropLast(4)) + ".json"
            try Files.write(proof, try Files.read(other))
        case "gone": unlink(path)
        default:
            unlink(proof)
            #expect(rename(path, String(path.dropLast(4)) + ".building") == 0)
        }
        #expect(try store.ensureLayers(image, builder: builder)[0].disk.path == path)
        #expect(builder.count == 3)
        #expect(try store.ensureLayers(image, builder: builder)[0].disk.path == path)
        #expect(builder.count == 3)
    }

    @Test func aLayerThatComesTwiceIsStackedOnce() throws {
        var twice = ImageFixture(name: "docker.io/library/twice:latest")
        twice.layers = [twice.layers[0], twice.layers[1], twice.layers[0]]
        try store.load(from: try workspace.write("twice.tar", tar(twice.layout)))
        let image = try store.resolve("twice")
        #expect(image.layers.count == 3)
        let names = try store.ensureLayers(image, builder: FakeBuilder()).map(\.disk.path)
        let cache = LayerCache(store.location)
        #expect(names == [1, 0].map { cache.path(image.layers[$0].diffID) })
    }

    /// The upper of two layers is complete in the image it was unpacked for, and in another one that has another layer below
    /// it only if it does not care.
    @Test(arguments: [
        (UnpackResult.Completeness.anywhere, [true, true]), (.here, [true, false]), (.nowhere, [false, false]),
    ])
    func layersAreCompleteOver(_ completeness: UnpackResult.Completeness, _ expected: [Bool]) throws {
        var other = ImageFixture(name: "docker.io/library/other:latest")
        other.layers[0] = tar([Piece(name: "c")])
        try store.load(from: try workspace.write("other.tar", tar(other.layout)))
        let second = try store.resolve("other")
        #expect(second.layers[1] == image.layers[1])

        let builder = FakeBuilder(completeness: completeness)
        let first = try store.ensureLayers(image, builder: builder)
        #expect(builder.below.withLock { $0 } == [[], [builder.built.withLock { $0[0] }]])
        let uppers = [first[1], try store.ensureLayers(second, builder: builder)[1]]
        #expect(uppers.map(\.isComplete) == expected)
        // From what is remembered, too.
        #expect(try store.ensureLayers(image, builder: builder)[1].isComplete == expected[0])
        #expect(builder.count == 3)
    }

    @Test func aLayerUnpackedLaterKnowsTheDisksBelow() throws {
        let builder = FakeBuilder(completeness: .here)
        let disks = try store.ensureLayers(image, builder: builder)
        unlink(String(disks[1].disk.path.dropLast(4)) + ".json")
        #expect(try store.ensureLayers(image, builder: builder)[1].isComplete)
        #expect(builder.below.withLock { $0.last } == [disks[0].disk.path])
    }

    @Test func aChainIsAsTheImageSpecificationHasIt() {
        let layers = image.layers + image.layers
        #expect(layers.stacked == image.layers)
        let (first, second) = (image.layers[0].diffID.description, image.layers[1].diffID.description)
        let both = Digest.of([UInt8]("\(first) \(second)".utf8)).description
        #expect((image.layers + [image.layers[0]]).chainsBelow == ["", first, both])
    }

    @Test func aLayerThatIsNotWhatTheImagePromises() throws {
        let other = Digest.of([9])
        let builder = FakeBuilder(answer: { _ in other })
        let error = try #require(throws: ImageError.self) { try store.ensureLayers(image, builder: builder) }
        #expect(error.description.contains(other.description))
        #expect(error.description.contains(image.layers[0].diffID.description))
        #expect(try Files.list(store.location.layers).allSatisfy { $0.hasSuffix(".lock") })
    }

    @Test func aBuilderThatFailsLeavesNothing() throws {
        let builder = FakeBuilder(answer: { _ in throw StorageError("the guest fell over") })
        #expect(throws: StorageError.self) { try store.ensureLayers(image, builder: builder) }
        #expect(try Files.list(store.location.layers).allSatisfy { $0.hasSuffix(".lock") })
        #expect(try store.ensureLayers(image, builder: FakeBuilder()).count == 2)
    }

    @Test func onlyOneBuildsWhileOthersWait() throws {
        let builder = FakeBuilder()
        let results = Guarded<[[String]?]>([])
        let (store, image) = (store, image)
        for _ in 0..<8 {
            Thread.start("builder") {
                let paths = try? store.ensureLayers(image, builder: builder).map(\.disk.path)
                results.withLock { $0.append(paths) }
            }
        }
        let all = results.wait(timeout: .seconds(60)) { $0.count == 8 ? $0 : nil }
        #expect(all?.allSatisfy { $0?.count == 2 } == true)
        #expect(builder.count == 2)
    }

    @Test func aSlotGivenUpGoesToTheNext() throws {
        let cache = LayerCache(store.location)
        guard case .build(let slot) = try cache.begin(image.layers[0]) else {
            Issue.record("there was a disk already")
            return
        }
        let waiting = Guarded<Bool?>(nil)
        let layer = image.layers[0]
        Thread.start("waiter") {
            var built = false
            if case .build(let second)? = try? cache.begin(layer) {
                built = true
                second.abandon()
            }
            waiting.withLock { $0 = built }
        }
        #expect(waiting.wait(timeout: .milliseconds(50)) { $0 } == nil)
        slot.abandon()
        #expect(waiting.wait(timeout: .seconds(30)) { $0 } == true)
        #expect(!Files.exists(slot.path))
    }

    @Test func removingAnImageTakesItsDisksUnlessTheyAreUsed() throws {
        let builder = FakeBuilder()
        var disks = try store.ensureLayers(image, builder: builder)
        let used = disks[1].disk
        disks = []
        #expect(try store.remove("fixture") == ["docker.io/library/fixture:latest"])
        #expect(try Files.list(store.location.blobs).isEmpty)
        #expect(Files.exists(used.path))
        #expect(try Files.list(store.location.layers).filter { $0.hasSuffix(".img") }.count == 1)
        used.withUse()
    }

    @Test func whatAnotherImageUsesStays() throws {
        var other = ImageFixture(name: "docker.io/library/other:latest")
        other.layers[1] = tar([Piece(name: "c")])
        try store.load(from: try workspace.write("other.tar", tar(other.layout)))
        _ = try store.ensureLayers(image, builder: FakeBuilder())
        try store.remove("fixture")
        let kept = try store.resolve("other")
        #expect(kept.layers.allSatisfy { Files.exists(store.location.blob($0.digest)) })
        #expect(try Files.list(store.location.blobs).count == 4)
        #expect(
            try Files.list(store.location.layers).filter { $0.hasSuffix(".img") } == [
                "\(kept.layers[0].diffID.hex).img"
            ])
        #expect(throws: ImageError.self) { try store.resolve("fixture") }
    }
}

extension LayerDisk {
    /// Keeps the object alive to here.
    func withUse() { withExtendedLifetime(self) {} }
}

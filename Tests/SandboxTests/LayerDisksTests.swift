import AgentAPI
import Glibc
import Hypervisor
import System
import Testing

@testable import Sandbox

/// Where the layers of a root lie.
@Suite struct LayerDisksTests {
    private static let block = 4096
    private let temporary: TemporaryDirectory
    private var directory: String { temporary.path }

    init() throws { temporary = try TemporaryDirectory() }

    /// A layer of a size, with as much content, both in blocks of 4 KiB.
    private func layer(_ name: String, blocks: Int, content: Int) throws -> RootfsImage {
        let path = "\(directory)/\(name)"
        try Files.write(path, [UInt8](repeating: 1, count: content * Self.block))
        try syscall("truncate", path) { truncate(path, blocks * Self.block) }
        return RootfsImage(path: path, filesystem: "ext4", readOnly: true, isComplete: name == "b")
    }

    @Test func none() throws {
        let layers = try LayerDisks([])
        #expect(layers.disks.isEmpty && layers.places.isEmpty)
    }

    @Test(arguments: [8, 4]) func one(veryLargeInBlocks: Int) throws {
        let layers = try LayerDisks([try layer("a", blocks: 4, content: 4)], veryLarge: veryLargeInBlocks)
        #expect(layers.disks.map(\.path) == ["\(directory)/a"] && layers.disks.allSatisfy { $0.readOnly })
        #expect(layers.disks.allSatisfy { $0.furtherPaths.isEmpty })
        #expect(layers.places.map(\.serial) == layers.disks.map(\.serial) && layers.places.map(\.sizeInBytes) == [0])
    }

    @Test func allShareOneDisk() throws {
        let one = try layer("a", blocks: 900, content: 1)
        let layers = try LayerDisks(
            // An image may have the same layer twice.
            [one, try layer("b", blocks: 40, content: 30), try layer("c", blocks: 3, content: 3), one], veryLarge: 31)
        #expect(layers.disks.map(\.serial) == ["layers"] && layers.disks[0].readOnly)
        #expect(layers.disks.map(\.path) == ["\(directory)/a"])
        #expect(layers.disks[0].furtherPaths == ["b", "c", "a"].map { "\(directory)/\($0)" })
        #expect(layers.places.map(\.serial) == ["layers", "layers", "layers", "layers"])
        #expect(layers.places.map { Int($0.offsetInBytes) / Self.block } == [0, 900, 940, 943])
        #expect(layers.places.map { Int($0.sizeInBytes) / Self.block } == [900, 40, 3, 900])
        #expect(layers.places.map(\.isComplete) == [false, true, false, false])
    }

    /// By content, not by the size of its disk, and no other that is very large, too.
    @Test func aVeryLargeOneHasADiskToItself() throws {
        let layers = try LayerDisks(
            [
                try layer("a", blocks: 900, content: 1), try layer("b", blocks: 40, content: 30),
                try layer("c", blocks: 22, content: 20), try layer("d", blocks: 3, content: 3),
            ], veryLarge: 20)
        #expect(layers.disks.map(\.serial) == ["layers", "layer"] && layers.disks.allSatisfy { $0.readOnly })
        #expect(layers.disks[0].path == "\(directory)/a")
        #expect(layers.disks[0].furtherPaths == ["\(directory)/c", "\(directory)/d"])
        #expect(layers.disks[1].path == "\(directory)/b" && layers.disks[1].furtherPaths.isEmpty)
        #expect(layers.places.map(\.serial) == ["layers", "layer", "layers", "layers"])
        #expect(layers.places.map { Int($0.offsetInBytes) / Self.block } == [0, 0, 900, 922])
        #expect(layers.places.map { Int($0.sizeInBytes) / Self.block } == [900, 0, 22, 3])
    }

    @Test func besideAVeryLargeOneASingleOneIsAWholeDisk() throws {
        let layers = try LayerDisks(
            [try layer("a", blocks: 4, content: 1), try layer("b", blocks: 4, content: 2)], veryLarge: 2)
        #expect(layers.disks.map(\.path) == ["\(directory)/a", "\(directory)/b"])
        #expect(layers.disks.allSatisfy { $0.furtherPaths.isEmpty })
        #expect(layers.places.map(\.serial) == ["layers", "layer"] && layers.places.map(\.sizeInBytes) == [0, 0])
    }

    @Test func oneThatIsNotThere() {
        let missing = RootfsImage(path: "\(directory)/x", filesystem: "ext4", readOnly: true, isComplete: false)
        #expect(throws: SystemError.self) { try LayerDisks([missing]) }
    }
}

extension LayerDisks {
    /// - Parameter blocks: of 4 KiB, from which on a layer is very large.
    fileprivate init(_ layers: [RootfsImage], veryLarge blocks: Int) throws(SystemError) {
        try self.init(layers, veryLargeInBytes: Int64(blocks) * 4096)
    }
}

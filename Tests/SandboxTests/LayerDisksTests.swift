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

    @Test func oneHasADiskToItself() throws {
        let layers = try LayerDisks([try layer("a", blocks: 4, content: 1)])
        #expect(layers.disks == [Hypervisor.Disk(path: "\(directory)/a", readOnly: true, serial: "layer")])
        #expect(layers.places.map(\.serial) == ["layer"] && layers.places.map(\.sizeInBytes) == [0])
    }

    @Test func twoHaveADiskEach() throws {
        let layers = try LayerDisks([
            try layer("a", blocks: 4, content: 1), try layer("b", blocks: 4, content: 2),
        ])
        #expect(layers.disks.map(\.path) == ["\(directory)/b", "\(directory)/a"])
        #expect(layers.disks.allSatisfy { $0.furtherPaths.isEmpty && $0.readOnly })
        #expect(layers.places.map(\.serial) == ["layers", "layer"])
        #expect(layers.places.map(\.sizeInBytes) == [0, 0] && layers.places.map(\.isComplete) == [false, true])
    }

    /// By content, not by the size of its disk.
    @Test func theLargestHasADiskToItselfAndTheOthersShareOne() throws {
        let layers = try LayerDisks([
            try layer("a", blocks: 900, content: 1), try layer("b", blocks: 40, content: 30),
            try layer("c", blocks: 8, content: 2), try layer("d", blocks: 3, content: 3),
        ])
        #expect(layers.disks.map(\.serial) == ["layer", "layers"])
        #expect(layers.disks[0].path == "\(directory)/b" && layers.disks[0].furtherPaths.isEmpty)
        #expect(layers.disks[1].path == "\(directory)/a")
        #expect(layers.disks[1].furtherPaths == ["\(directory)/c", "\(directory)/d"] && layers.disks[1].readOnly)
        #expect(layers.places.map(\.serial) == ["layers", "layer", "layers", "layers"])
        #expect(layers.places.map { Int($0.offsetInBytes) / Self.block } == [0, 0, 900, 908])
        #expect(layers.places.map { Int($0.sizeInBytes) / Self.block } == [900, 0, 8, 3])
        #expect(layers.places.map(\.isComplete) == [false, true, false, false])
    }

    /// An image may have the same layer twice.
    @Test func theSameFileTwice() throws {
        let one = try layer("a", blocks: 4, content: 1)
        let layers = try LayerDisks([one, try layer("b", blocks: 4, content: 2), one])
        #expect(layers.disks.last?.furtherPaths == ["\(directory)/a"])
        #expect(layers.places.map { Int($0.offsetInBytes) / Self.block } == [0, 0, 4])
    }

    @Test func oneThatIsNotThere() {
        let missing = RootfsImage(path: "\(directory)/x", filesystem: "ext4", readOnly: true, isComplete: false)
        #expect(throws: SystemError.self) { try LayerDisks([missing]) }
    }
}

import AgentAPI
import Glibc
import Hypervisor
import System

/// Which disks the layers of a container's root lie on: all on one, where they follow each other, but for a very large
/// one, which has a disk to itself.
///
/// A disk is a device that a guest has to find, which costs a start more than mounting what is on it
/// (docs/decisions/020-disks-of-layers.md). But QEMU reads a disk of several files one request at a time, which would
/// show where much is read.
struct LayerDisks {
    /// From how much content on the largest layer has a disk to itself.
    static let veryLargeInBytes: Int64 = 1 << 30

    private(set) var disks: [Hypervisor.Disk] = []
    /// Where each layer lies, in the order given.
    private(set) var places: [AgentAPI.Disk] = []

    /// - Throws: `SystemError` for a layer that is not there.
    init(_ layers: [RootfsImage], veryLargeInBytes: Int64 = veryLargeInBytes) throws(SystemError) {
        var sizes: [(inBytes: UInt64, ofContent: Int64)] = []
        for layer in layers {
            var info = stat()
            try syscall("stat", layer.path) { stat(layer.path, &info) }
            sizes.append((UInt64(max(0, info.st_size)), Int64(info.st_blocks) * 512))
        }
        places = layers.map { layer in
            var place = AgentAPI.Disk()
            (place.filesystem, place.isComplete) = (layer.filesystem, layer.isComplete)
            return place
        }
        let largest = sizes.indices.max { sizes[$0].ofContent < sizes[$1].ofContent }
        let alone = largest.flatMap { sizes[$0].ofContent < veryLargeInBytes ? nil : $0 }
        add(layers.indices.filter { $0 != alone }, of: layers, sizes.map(\.inBytes), serial: "layers")
        if let alone { add([alone], of: layers, sizes.map(\.inBytes), serial: "layer") }
    }

    /// Adds a disk of some of the layers, if there are any.
    private mutating func add(_ indices: [Int], of layers: [RootfsImage], _ sizesInBytes: [UInt64], serial: String) {
        guard let first = indices.first else { return }
        var disk = Hypervisor.Disk(path: layers[first].path, readOnly: true, serial: serial)
        disk.furtherPaths = indices.dropFirst().map { layers[$0].path }
        disks.append(disk)
        var end: UInt64 = 0
        for index in indices {
            places[index].serial = serial
            // A single one is the whole disk.
            if indices.count == 1 { continue }
            (places[index].offsetInBytes, places[index].sizeInBytes) = (end, sizesInBytes[index])
            end += sizesInBytes[index]
        }
    }
}

import AgentAPI
import Glibc
import Hypervisor
import System

/// Which disks the layers of a container's root lie on: the largest has one for itself, all others share one, where they
/// follow each other.
///
/// A disk is a device that a guest has to find, which costs a start more than mounting what is on it
/// (docs/decisions/020-two-disks-of-layers.md). But QEMU reads a disk of several files one request at a time: hence the one
/// for the layer that most is read from.
struct LayerDisks {
    private(set) var disks: [Hypervisor.Disk] = []
    /// Where each layer lies, in the order given.
    private(set) var places: [AgentAPI.Disk] = []

    /// - Throws: `SystemError` for a layer that is not there.
    init(_ layers: [RootfsImage]) throws(SystemError) {
        var sizes: [(inBytes: UInt64, onDisk: Int)] = []
        for layer in layers {
            var info = stat()
            try syscall("stat", layer.path) { stat(layer.path, &info) }
            sizes.append((UInt64(max(0, info.st_size)), info.st_blocks))
        }
        guard let largest = sizes.indices.max(by: { sizes[$0].onDisk < sizes[$1].onDisk }) else { return }
        let alone = Hypervisor.Disk(path: layers[largest].path, readOnly: true, serial: "layer")
        disks = [alone]
        places = layers.map { layer in
            var place = AgentAPI.Disk()
            (place.serial, place.filesystem, place.isComplete) = (alone.serial, layer.filesystem, layer.isComplete)
            return place
        }
        let others = layers.indices.filter { $0 != largest }
        guard let first = others.first else { return }
        var shared = Hypervisor.Disk(path: layers[first].path, readOnly: true, serial: "layers")
        shared.furtherPaths = others.dropFirst().map { layers[$0].path }
        disks.append(shared)
        var end: UInt64 = 0
        for index in others {
            places[index].serial = shared.serial
            // A single one is the whole disk.
            if others.count == 1 { continue }
            (places[index].offsetInBytes, places[index].sizeInBytes) = (end, sizes[index].inBytes)
            end += sizes[index].inBytes
        }
    }
}

import AgentAPI
import Hypervisor
import System
import TTRPC

/// A layer's blob and the disk it is unpacked onto, which holds an empty ext4 filesystem.
public struct LayerToUnpack: Sendable {
    public var blobPath: String
    public var blobSizeInBytes: UInt64
    public var diskPath: String

    public init(blobPath: String, blobSizeInBytes: UInt64, diskPath: String) {
        self.blobPath = blobPath
        self.blobSizeInBytes = blobSizeInBytes
        self.diskPath = diskPath
    }
}

extension Sandbox {
    /// A builder's whole life: boots with the layers' blobs and disks, unpacks one after the other, powers off. The guest
    /// has unmounted every disk before its answer arrives.
    public func unpack(_ layers: [LayerToUnpack]) throws -> [UnpackLayerResponse] {
        var disks: [Hypervisor.Disk] = []
        for (index, layer) in layers.enumerated() {
            disks.append(Hypervisor.Disk(path: layer.blobPath, readOnly: true, serial: "blob-\(index)"))
            disks.append(Hypervisor.Disk(path: layer.diskPath, readOnly: false, serial: "layer-\(index)"))
        }
        try boot(disks: disks)
        defer { stop() }
        let guest = try guest()
        return try layers.enumerated().map { index, layer in
            var request = UnpackLayerRequest()
            request.blobDisk = "blob-\(index)"
            request.blobSizeInBytes = layer.blobSizeInBytes
            request.targetDisk = "layer-\(index)"
            return try timings.measure("unpack layer \(index + 1)") { try guest.client.call(Agent.unpackLayer, request) }
        }
    }
}

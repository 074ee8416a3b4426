import AgentAPI
import Hypervisor
import System
import TTRPC

/// A layer's blob and the disk it is unpacked onto, which holds an empty ext4 filesystem.
public struct LayerToUnpack: Sendable {
    public var blobPath: String
    public var blobSizeInBytes: UInt64
    public var diskPath: String
    /// The disks of the layers below, lowest first: finished ones, or of layers that are unpacked before this one.
    public var disksBelow: [String]

    public init(blobPath: String, blobSizeInBytes: UInt64, diskPath: String, disksBelow: [String]) {
        self.blobPath = blobPath
        self.blobSizeInBytes = blobSizeInBytes
        self.diskPath = diskPath
        self.disksBelow = disksBelow
    }
}

extension Sandbox {
    /// A builder's whole life: boots with the layers' blobs and disks, unpacks one after the other, powers off. The guest
    /// has unmounted every disk before its answer arrives.
    public func unpack(_ layers: [LayerToUnpack]) throws -> [UnpackLayerResponse] {
        var disks: [Hypervisor.Disk] = []
        var serials: [String: String] = [:]
        for (index, layer) in layers.enumerated() {
            serials[layer.diskPath] = "layer-\(index)"
            disks.append(Hypervisor.Disk(path: layer.blobPath, readOnly: true, serial: "blob-\(index)"))
            disks.append(Hypervisor.Disk(path: layer.diskPath, readOnly: false, serial: "layer-\(index)"))
        }
        for path in layers.flatMap(\.disksBelow) where serials[path] == nil {
            let serial = "below-\(serials.count)"
            serials[path] = serial
            disks.append(Hypervisor.Disk(path: path, readOnly: true, serial: serial))
        }
        try boot(disks: disks)
        defer { stop() }
        let guest = try guest()
        return try layers.enumerated().map { index, layer in
            var request = UnpackLayerRequest()
            request.blobDisk = "blob-\(index)"
            request.blobSizeInBytes = layer.blobSizeInBytes
            request.targetDisk = "layer-\(index)"
            request.disksBelow = layer.disksBelow.compactMap { serials[$0] }
            do {
                return try timings.measure("unpack layer \(index + 1)") {
                    try guest.call(Agent.unpackLayer, request)
                }
            } catch let error as RPCError { throw Self.explain(error, layer) }
        }
    }

    /// The guest speaks of "the layer": which one, and what to do when it is the layer's fault, is known here.
    private static func explain(_ error: RPCError, _ layer: LayerToUnpack) -> RPCError {
        let subject = "the layer"
        guard error.message.hasPrefix(subject) else { return error }
        let remedy: String
        switch error.code {
        case .invalidArgument, .resourceExhausted:
            remedy = "the image is damaged or made to do harm: get it from its source again"
        case .outOfRange:
            remedy = "compress it again with at most 128 MiB, as zstd does without --long and xz at every level"
        default: return error
        }
        // Blobs are named by their digest.
        let name = layer.blobPath.split(separator: "/").last ?? ""
        return RPCError(
            error.code,
            "layer sha256:\(name)\(error.message.dropFirst(subject.count)); \(remedy)")
    }
}

import AgentAPI
import CAgent
import Glibc
import LayerUnpack
import System
import TTRPC

extension AgentProcess {
    /// Unpacks one layer from its disk onto an empty one. The answer comes when the target is unmounted, hence complete.
    func unpack(_ request: UnpackLayerRequest) throws -> UnpackLayerResponse {
        let devices = try disks.devices([request.blobDisk, request.targetDisk] + request.disksBelow)
        let blob = try FileDescriptor.open(devices[request.blobDisk] ?? "", O_RDONLY)
        var target = Disk()
        target.serial = request.targetDisk
        let path = try disks.mountWritable(target, device: devices[request.targetDisk])
        let layer: UnpackedLayer
        do {
            let directory = try FileDescriptor.open(path, O_RDONLY | ca_o_directory)
            layer = try unpackLayer(blob: blob.raw, sizeInBytes: request.blobSizeInBytes, into: directory.raw)
            if layer.impliedDirectories > 0, !request.disksBelow.isEmpty {
                try complete(path, over: request.disksBelow, devices)
            }
        } catch {
            Disks.unmount(path)
            guard let error = error as? LayerUnpackError else { throw error }
            throw Self.rpcError(error, diskSizeInMebibytes: Self.sizeInMebibytes(devices[request.targetDisk] ?? ""))
        }
        try Disks.unmountOrFail(path)
        var response = UnpackLayerResponse()
        response.diffID = layer.diffID
        response.entries = layer.entries
        response.contentInBytes = layer.contentInBytes
        response.impliedDirectories = layer.impliedDirectories
        return response
    }

    private func complete(_ layer: String, over serials: [String], _ devices: [String: String]) throws(SystemError) {
        var below: [(disk: Disk, path: String)] = []
        defer { for layer in below { disks.releaseShared(layer.disk) } }
        for serial in serials {
            var disk = Disk()
            disk.serial = serial
            below.append((disk, try disks.mountShared(disk, device: devices[serial] ?? "")))
        }
        try ImplicitDirectories.complete(layer: layer, over: below.map(\.path))
    }

    private static func sizeInMebibytes(_ device: String) -> Int {
        guard let disk = try? FileDescriptor.open(device, O_RDONLY) else { return 0 }
        return max(0, lseek(disk.raw, 0, SEEK_END)) >> 20
    }

    private static func rpcError(_ error: LayerUnpackError, diskSizeInMebibytes size: Int) -> RPCError {
        switch error {
        case .diskFull: RPCError(.resourceExhausted, "the layer unpacks to more than the disk's size of \(size) MiB")
        case .notATar, .truncated, .damaged, .refused: RPCError(.invalidArgument, error.description)
        case .windowTooLarge: RPCError(.outOfRange, error.description)
        case .unreadable, .failed: RPCError(.internal, error.description)
        }
    }
}

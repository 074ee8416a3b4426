import ContainerdAPI
import ImageStore
import SandboxClient

/// Unpacks layers in a sandbox made for it.
struct SandboxLayerBuilder: LayerBuilder {
    let server: String
    let stateDirectory: String
    let options: SandboxOptions

    /// What decompressing and a page cache for tens of thousands of files want.
    static let memoryInBytes: UInt64 = 512 << 20

    /// Each layer is two disks, and a guest takes the longer to find them the more there are.
    static let layersAtOnce = 24
    /// Of layers that are unpacked already, each a disk.
    static let mostLayersBelow = 24

    func unpack(_ jobs: [UnpackJob]) throws -> [UnpackResult] {
        Notices.progress("unpacking \(jobs.count) layer\(jobs.count == 1 ? "" : "s"), once")
        return try stride(from: 0, to: jobs.count, by: Self.layersAtOnce).flatMap {
            try unpackAtOnce(Array(jobs[$0..<min($0 + Self.layersAtOnce, jobs.count)]))
        }
    }

    private func unpackAtOnce(_ jobs: [UnpackJob]) throws -> [UnpackResult] {
        let filled = Set(jobs.map(\.diskPath))
        let below = jobs.map { job in
            job.disksBelow.flatMap { Set($0).subtracting(filled).count <= Self.mostLayersBelow ? $0 : nil }
        }
        var request = UnpackRequest()
        request.options = options
        request.options.memoryInBytes = max(options.memoryInBytes, Self.memoryInBytes)
        request.layers = zip(jobs, below).map { job, below in
            var layer = UnpackRequest.Layer()
            layer.blobPath = job.blobPath
            layer.blobSizeInBytes = UInt64(job.blobSizeInBytes)
            layer.diskPath = job.diskPath
            layer.disksBelow = below ?? []
            return layer
        }
        let launch = SandboxProcess.Launch(
            id: "build-\(ContainerName.random())", program: server, stateDirectory: stateDirectory,
            removeAtEnd: jobs.map(\.diskPath))
        return try zip(BuilderSandbox.unpack(launch, request), below).map { layer, below in
            guard let diffID = Digest(hex: layer.diffID) ?? Digest(layer.diffID) else {
                throw UserError("the builder's guest answered with \"\(layer.diffID)\", which is no digest.")
            }
            return UnpackResult(
                diffID: diffID, entries: Int64(clamping: layer.entries), bytes: Int64(clamping: layer.contentInBytes),
                completeness: layer.impliedDirectories == 0 ? .anywhere : below == nil ? .nowhere : .here)
        }
    }
}

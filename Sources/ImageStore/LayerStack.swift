import Storage

/// A layer's finished disk in an image.
public struct ImageLayer: Sendable {
    public let disk: LayerDisk
    /// Whether its directories are already what the image's layers below make them.
    public let isComplete: Bool
}

extension [StoredImage.Layer] {
    /// As they lie over each other, lowest first. A layer that an image has more than once comes once, where it is
    /// uppermost: what it holds and hides there, it held and hid before, and overlayfs takes no directory twice.
    var stacked: [StoredImage.Layer] {
        var seen: Set<Digest> = []
        return reversed().filter { seen.insert($0.diffID).inserted }.reversed()
    }

    /// For each layer the chainID (image-spec config.md) of those below it, which is empty for the lowest.
    var chainsBelow: [String] {
        var chain = ""
        return map { layer in
            defer {
                let diffID = layer.diffID.description
                chain = chain.isEmpty ? diffID : Digest.of([UInt8]("\(chain) \(diffID)".utf8)).description
            }
            return chain
        }
    }
}

import FoundationEssentials
import ImageStore
import OCISpec

/// An image as it is listed.
struct ImageRow: Encodable {
    var name: String?
    /// Of the image's configuration, which is what Docker calls its id.
    var id: String
    /// Of its manifest.
    var digest: String
    var platform: String
    /// As stored.
    var sizeInBytes: Int64
    var layers: Int
    /// RFC 3339.
    var loaded: String
    /// RFC 3339, as the image has it.
    var created: String?

    private enum CodingKeys: String, CodingKey {
        case name, id, digest, platform, layers, loaded, created
        case sizeInBytes = "size"
    }

    let loadedInSeconds: Int64
    let repository: String?
    let tag: String?

    init(_ image: StoredImage) {
        name = image.reference == nil ? nil : image.displayName
        repository = image.reference == nil ? nil : image.displayRepository
        tag = image.reference?.tag
        id = image.configDigest.description
        digest = image.manifestDigest.description
        platform = image.config.platform.description
        sizeInBytes = image.size
        layers = image.layers.count
        loadedInSeconds = image.loaded
        loaded = Date(timeIntervalSince1970: Double(image.loaded)).formatted(.iso8601)
        created = image.config.created
    }

    /// `sha256:0123456789ab…` as twelve digits, which commands take in its place.
    static func short(_ digest: String) -> String { String(digest.drop { $0 != ":" }.dropFirst().prefix(12)) }

    /// - Parameter now: seconds since the Unix epoch.
    static func listing(now: Int64, digests: Bool = false, noTrunc: Bool = false) -> Listing<ImageRow> {
        Listing(
            fields: [
                .init("Name") { $0.name ?? "<none>" },
                .init("Repository", isColumn: false) { $0.repository ?? "<none>" },
                .init("Tag", isColumn: false) { $0.tag ?? "<none>" },
                .init("Digest", isColumn: digests) { $0.digest },
                .init("ID") { noTrunc ? $0.id : short($0.id) },
                .init("Platform") { $0.platform },
                .init("Layers") { "\($0.layers)" },
                .init("Size") { Human.size($0.sizeInBytes) },
                .init("Loaded") { Human.age(seconds: now - $0.loadedInSeconds) },
                .init("CreatedAt", isColumn: false) { $0.created ?? "<unknown>" },
                .init("CreatedSince", isColumn: false) { Timestamp.age($0.created, now: now) },
            ], id: { noTrunc ? $0.id : short($0.id) })
    }
}

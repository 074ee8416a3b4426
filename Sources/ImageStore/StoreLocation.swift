import Glibc
import System

/// Where the store's files are below its root:
///
///     blobs/sha256/<hex>     content by digest: manifests, configurations, layers as they came
///     references.json        names and what they point at
///     layers/<hex>.img       a layer unpacked into a read-only disk, by diffID; with <hex>.json to prove it whole
///     scratch/<bytes>.img    empty disks to copy
///     partial/<hex>          blobs under way from a registry; each is locked by whoever fetches it
///     tmp/                   what is being written; each directory is locked by whoever writes it
///     reserve                room that removal takes when the disk is full
///     collect                there while a collection is left to whoever adds to the store now
///     lock                   held shared while content is added or used, alone while it is collected
///
/// Directories are 0755 and content 0644, since QEMU runs as a user of its own when Cloister runs as root.
public struct StoreLocation: Sendable, Equatable {
    public let root: String

    public init(root: String) { self.root = root }

    /// `$CLOISTER_DATA`, else `/var/lib/cloister` for root, else `$XDG_DATA_HOME/cloister`, else
    /// `~/.local/share/cloister`.
    public static func standard(environment: (String) -> String? = { getenv($0).map { String(cString: $0) } })
        throws(ImageError) -> StoreLocation
    {
        func absolute(_ name: String) -> String? {
            guard let value = environment(name), value.hasPrefix("/") else { return nil }
            return value
        }
        if let set = environment("CLOISTER_DATA"), !set.isEmpty {
            guard set.hasPrefix("/") else {
                throw ImageError("CLOISTER_DATA is \"\(set)\"; it must be an absolute path")
            }
            return StoreLocation(root: set)
        }
        if geteuid() == 0 { return StoreLocation(root: "/var/lib/cloister") }
        if let data = absolute("XDG_DATA_HOME") { return StoreLocation(root: data + "/cloister") }
        guard let home = absolute("HOME") else {
            throw ImageError("there is no place for images: set HOME, XDG_DATA_HOME or CLOISTER_DATA")
        }
        return StoreLocation(root: home + "/.local/share/cloister")
    }

    var blobs: String { root + "/blobs/sha256" }
    var layers: String { root + "/layers" }
    var partial: String { root + "/partial" }
    var temporary: String { root + "/tmp" }
    var scratch: String { root + "/scratch" }
    var references: String { root + "/references.json" }
    var lock: String { root + "/lock" }
    /// Room for the list of names, which removing images on a full disk writes.
    var reserve: String { root + "/reserve" }
    /// There while somebody wants a collection that could not be made yet.
    var collection: String { root + "/collect" }
    var referencesLock: String { root + "/references.lock" }

    public func blob(_ digest: Digest) -> String { "\(blobs)/\(digest.hex)" }
}

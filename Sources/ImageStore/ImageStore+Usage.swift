import Glibc
import OCISpec
import Storage
import System

/// What one kind of thing takes in the store.
public struct StoreUsage: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        case images = "Images"
        case disks = "Layer disks"
        case unfinished = "Unfinished pulls"
    }

    public let kind: Kind
    public internal(set) var count = 0
    /// Those that a sandbox, or whoever writes them, holds now.
    public internal(set) var used = 0
    /// On the host's disk.
    public internal(set) var sizeInBytes: Int64 = 0
    /// What removing all that nobody uses would free.
    public internal(set) var freeableInBytes: Int64 = 0
}

extension ImageStore {
    /// What the store takes, by kind.
    public func usage() throws -> [StoreUsage] {
        let entries = try References.read(location).images
        let usedEntries = entries.filter { isUsed($0) }
        let kept = try needed(by: usedEntries)

        var images = StoreUsage(kind: .images)
        images.count = entries.count
        images.used = usedEntries.count
        for name in try Files.list(location.blobs) {
            let size = Self.occupied("\(location.blobs)/\(name)")
            images.sizeInBytes += size
            if !kept.blobs.contains(name) { images.freeableInBytes += size }
        }

        var disks = StoreUsage(kind: .disks)
        for name in try Files.list(location.layers) where name.hasSuffix(".img") || name.hasSuffix(".building") {
            let path = "\(location.layers)/\(name)"
            let base = String(name.prefix { $0 != "." })
            let size = Self.occupied(path)
            let isUsed = FileLock.isHeld(name.hasSuffix(".img") ? path : "\(location.layers)/\(base).lock")
            disks.count += 1
            disks.used += isUsed ? 1 : 0
            disks.sizeInBytes += size
            if !isUsed && kept.disks?.contains(base) != true { disks.freeableInBytes += size }
        }

        var unfinished = StoreUsage(kind: .unfinished)
        func count(_ path: String, _ size: Int64, isUsed: Bool) {
            unfinished.count += 1
            unfinished.used += isUsed ? 1 : 0
            unfinished.sizeInBytes += size
            unfinished.freeableInBytes += isUsed ? 0 : size
        }
        for name in try Files.list(location.partial) {
            let path = "\(location.partial)/\(name)"
            count(path, Self.occupied(path), isUsed: FileLock.isHeld(path))
        }
        for name in try Files.list(location.temporary) {
            let path = "\(location.temporary)/\(name)"
            let files = (try? Files.list(path)) ?? []
            count(
                path, files.reduce(0) { $0 + Self.occupied("\(path)/\($1)") }, isUsed: FileLock.isHeld(path + "/lock"))
        }
        return [images, disks, unfinished]
    }

    /// What `limitInBytes` is about.
    func contentInBytes() throws -> Int64 {
        try [location.blobs, location.layers].reduce(0) { sum, directory in
            try Files.list(directory).reduce(sum) { $0 + Self.occupied("\(directory)/\($1)") }
        }
    }

    /// On the disk; 0 for what is gone.
    static func occupied(_ path: String) -> Int64 {
        var info = stat()
        return lstat(path, &info) == 0 ? Int64(info.st_blocks) * 512 : 0
    }

    /// What `prune` did.
    public struct Pruned: Sendable {
        /// Names, or digests of images without one.
        public let removed: [String]
        public let freedInBytes: Int64
        /// Whether content is removed later, by those who add to the store now.
        public let isLeftToOthers: Bool
    }

    /// Removes images that no sandbox uses.
    /// - Parameters:
    ///   - keepsPauses: whether pulls that stopped less than a day ago may still go on where they did.
    ///   - condition: which of them.
    public func prune(keepsPauses: Bool = true, where condition: (StoredImage) throws -> Bool) throws -> Pruned {
        let before = try usage().reduce(0) { $0 + $1.sizeInBytes }
        var gone: [References.Entry] = []
        for entry in try References.read(location).images {
            guard let image = try? image(entry), !isUsed(image), try condition(image) else { continue }
            gone.append(entry)
        }
        try References.update(location, frees: true) { references in references.images.removeAll { gone.contains($0) } }
        let freed = try collect(pauseInSeconds: keepsPauses ? Self.longestPauseOfAPullInSeconds : 0)
        let after = try usage().reduce(0) { $0 + $1.sizeInBytes }
        return Pruned(
            removed: gone.map { $0.reference ?? $0.descriptor.digest }, freedInBytes: max(before - after, 0),
            isLeftToOthers: freed == nil)
    }
}

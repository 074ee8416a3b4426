import Glibc
import OCISpec
import System

extension ImageStore {
    /// Takes an image's name away; with the last name of an image goes what no other image uses. Layer disks that a
    /// sandbox has open stay until a later collection.
    /// - Parameter text: a name, or the beginning of an id, which removes all of that image's names.
    /// - Returns: the names removed, or the digest of an image without one.
    /// - Throws: `ImageError` when there is no such image.
    @discardableResult
    public func remove(_ text: String) throws -> [String] {
        let found = try entry(text)
        let byName = (try? names.reference(text))?.description == found.reference && found.reference != nil
        let removed: [String] = try References.update(location, frees: true) { references in
            let gone = references.images.filter {
                byName ? $0.reference == found.reference : $0.descriptor.digest == found.descriptor.digest
            }
            references.images.removeAll { gone.contains($0) }
            return gone.map { $0.reference ?? $0.descriptor.digest }
        }
        try collect()
        return removed
    }

    /// What a pull left unfinished is kept for so long.
    public static let longestPauseOfAPullInSeconds: Int64 = 24 * 60 * 60

    /// Removes content that no image names, layer disks that none uses, and what crashes left behind. While others add to
    /// the store it leaves them word instead, and the last of them does it: nobody waits for somebody's pull.
    /// - Parameters:
    ///   - wait: whether to wait for them after all.
    ///   - pauseInSeconds: how long an unfinished pull may have stood still.
    /// - Returns: bytes removed; nil when it is left to others.
    @discardableResult
    public func collect(
        wait: Bool = false, pauseInSeconds: Int64 = longestPauseOfAPullInSeconds
    ) throws -> Int64? {
        var freed: Int64?
        repeat {
            var held = try FileLock.tryAcquire(location.lock, .exclusive)
            if held == nil {
                // Who holds the lock looks for this after letting go; who did so just before, by the second attempt.
                try? Files.write(location.collection, [], mode: 0o644)
                held =
                    wait
                    ? try FileLock.acquire(location.lock, .exclusive)
                    : try FileLock.tryAcquire(location.lock, .exclusive)
            }
            guard let held else { return freed }
            defer { held.release() }
            freed = (freed ?? 0) + (try collectAlone(pauseInSeconds))
        } while isCollectionWanted
        return freed
    }

    /// Whether somebody left word that there is something to collect.
    var isCollectionWanted: Bool { Files.exists(location.collection) }

    /// The caller holds the store's lock alone.
    func collectAlone(_ pauseInSeconds: Int64) throws -> Int64 {
        // Before the names are read: who asks from now on may have changed them.
        if unlink(location.collection) != 0, errno != ENOENT { throw SystemError("unlink", location.collection) }
        let entries = try References.read(location).images
        let needed: NeededContent
        do { needed = try self.needed(by: entries) } catch {
            // An unreadable manifest keeps what it may name: removing it on a guess would be worse than keeping it.
            note("nothing was collected: \(error)")
            return 0
        }
        var freed: Int64 = 0
        for name in try Files.list(location.blobs) where !needed.blobs.contains(name) {
            var info = stat()
            let path = "\(location.blobs)/\(name)"
            if lstat(path, &info) == 0, unlink(path) == 0 { freed += Int64(info.st_size) }
        }
        if let disks = needed.disks { freed += try LayerCache(location, note: note).collect(keeping: disks) }
        try PartialBlob.collect(location, olderThan: pauseInSeconds)
        for name in try Files.list(location.temporary) {
            let path = "\(location.temporary)/\(name)"
            // Whoever is alive holds the lock inside.
            guard let lock = try? FileLock.tryAcquire(path + "/lock", .exclusive) else { continue }
            try? Files.removeTree(path)
            lock.release()
        }
        // Lists that were being written when their writer died.
        let references = try FileLock.acquire(location.referencesLock, .exclusive)
        defer { references.release() }
        for name in try Files.list(location.root) where name.hasPrefix("references.json.tmp.") {
            unlink("\(location.root)/\(name)")
        }
        return freed
    }
}

import Glibc
import OCISpec
import Storage
import System

extension ImageStore {
    /// Reads the whole store: content against its digests, names against content, layer disks against their proofs and,
    /// by e2fsck, their metadata; and looks for what is left over.
    /// - Parameter repair: removes what is damaged, and nothing that is whole: disks are made anew by the next run, content
    ///   comes back by pulling or loading its image, a list of names that cannot be read is replaced by one of all images
    ///   found, without names. Waits until nobody adds to the store.
    public func verify(repair: Bool = false) throws -> Verification {
        let lock =
            repair
            ? try FileLock.acquire(location.lock, .exclusive) {
                note("waiting for images that are brought in or unpacked now")
            } : try FileLock.acquire(location.lock, .shared)
        defer {
            lock.release()
            if isCollectionWanted { _ = try? collect() }
        }
        var found = Verification()
        let damaged = try verifyContent(repair, &found)
        let entries = try verifyReferences(repair, &found)
        let needed = try? self.needed(by: entries)
        for name in try Files.list(location.blobs).sorted() where needed?.blobs.contains(name) == false {
            if damaged.contains(name) { continue }
            found.add(.leftover, Digest(hex: name)?.description ?? name, "is content of no image", .harmless)
        }
        for entry in entries { verify(entry, damaged, repair, &found) }
        try verifyDisks(needed, repair, &found)
        try findUnfinished(&found)
        if repair, found.findings.contains(where: { $0.state == .harmless }) {
            _ = try collectAlone(Self.longestPauseOfAPullInSeconds)
        }
        return found
    }

    /// - Returns: file names of what is not what it is called.
    private func verifyContent(_ repair: Bool, _ found: inout Verification) throws -> Set<String> {
        var damaged: Set<String> = []
        for name in try Files.list(location.blobs).sorted() {
            guard let digest = Digest(hex: name) else { continue }
            found.blobs += 1
            let problem: String
            do {
                let actual = try content.actualDigest(digest)
                if actual == digest { continue }
                problem = "has the content of \(actual.short)…, \(humanSize(content.size(digest) ?? 0))"
            } catch { problem = "cannot be read: \(error)" }
            damaged.insert(name)
            let isGone = repair && unlink(location.blob(digest)) == 0
            found.add(.content, digest.description, problem, isGone ? .repaired : repair ? .kept : .damaged)
        }
        return damaged
    }

    private func verifyReferences(_ repair: Bool, _ found: inout Verification) throws -> [References.Entry] {
        do { return try References.read(location).images } catch {
            guard repair else {
                found.add(
                    .list, "references.json", "cannot be read: \(error)",
                    remedy: "cloister image verify --repair lists the images there are, without their names", .damaged)
                return []
            }
            let rebuilt = try rebuiltReferences()
            try syscall("rename", location.references) {
                rename(location.references, location.references + ".damaged")
            }
            try References.update(location) { $0 = rebuilt }
            found.add(
                .list, "references.json", "could not be read and was moved to references.json.damaged",
                remedy: "cloister image tag names the \(rebuilt.images.count) images found", .repaired)
            return rebuilt.images
        }
    }

    /// Every image whose content is all there, without a name.
    private func rebuiltReferences() throws -> References {
        var references = References()
        for name in try Files.list(location.blobs).sorted() {
            guard let digest = Digest(hex: name), let size = content.size(digest), size <= Limits.documentInBytes,
                let bytes = try? content.document(digest, what: "document"),
                let manifest = try? OCIJSON.decode(ImageManifest.self, from: bytes)
            else { continue }
            let entry = References.Entry(
                reference: nil,
                descriptor: Descriptor(
                    mediaType: manifest.mediaType ?? MediaType.manifest, digest: digest.description, size: size),
                loaded: Clock.realtime.components.seconds)
            if let image = try? image(entry), image.layers.allSatisfy({ content.has($0.digest, size: $0.size) }) {
                references.images.append(entry)
            }
        }
        return references
    }

    private func verify(
        _ entry: References.Entry, _ damaged: Set<String>, _ repair: Bool, _ found: inout Verification
    ) {
        found.images += 1
        let reference = entry.reference.flatMap { try? ImageReference($0) }
        let name = reference.map(names.shown) ?? entry.descriptor.digest
        var problems: [String] = []
        func expect(_ descriptor: Descriptor, _ what: String) {
            guard let digest = Digest(descriptor.digest) else {
                return problems.append("names no digest of its \(what)")
            }
            if damaged.contains(digest.hex) {
                problems.append("has a damaged \(what), \(digest.short)…")
            } else if !content.has(digest, size: descriptor.size) {
                problems.append("lacks its \(what) \(digest.short)…, or the whole of it")
            }
        }
        expect(entry.descriptor, "manifest")
        if problems.isEmpty, let manifest = try? manifest(entry) {
            expect(manifest.config, "configuration")
            for layer in manifest.layers { expect(layer, "layer") }
        }
        if problems.isEmpty {
            do { _ = try image(entry) } catch { problems.append("cannot be used: \(error)") }
        }
        guard !problems.isEmpty else { return }
        var remedy =
            reference == nil
            ? "load it again, or remove it with cloister image remove"
            : "cloister pull \(name) or cloister image load brings it back"
        // A pull does not read whole what is there.
        if !repair, !damaged.isEmpty { remedy = "after cloister image verify --repair, " + remedy }
        found.add(.image, name, problems.joined(separator: ", "), remedy: remedy, .damaged)
    }

    private func verifyDisks(_ needed: NeededContent?, _ repair: Bool, _ found: inout Verification) throws {
        let cache = LayerCache(location, note: note)
        let names = try Files.list(location.layers)
        for hex in Set(names.map { String($0.prefix { $0 != "." }) }).sorted() {
            guard let diffID = Digest(hex: hex) else { continue }
            func has(_ suffix: String) -> Bool { names.contains(hex + suffix) }
            // Held: it is being made, and not yet what it will be.
            guard let lock = try FileLock.tryAcquire("\(location.layers)/\(hex).lock", .exclusive) else { continue }
            defer { lock.release() }
            if has(".building") { found.add(.leftover, diffID.description, "is a disk whose making ended", .harmless) }
            guard has(".img"), has(".json") else {
                if has(".img") || has(".json") {
                    found.add(.leftover, diffID.description, "is half of a disk and its proof", .harmless)
                }
                continue
            }
            found.disks += 1
            guard let problem = try cache.problem(diffID) else {
                if let disks = needed?.disks, !disks.contains(hex) {
                    found.add(.leftover, diffID.description, "is a disk of no image", .harmless)
                }
                continue
            }
            if repair { cache.discard(diffID) }
            found.add(
                .disk, diffID.description, problem, remedy: "the next run of its image makes it anew",
                repair ? .repaired : .damaged)
        }
    }

    private func findUnfinished(_ found: inout Verification) throws {
        for name in try Files.list(location.partial) where !FileLock.isHeld("\(location.partial)/\(name)") {
            found.add(
                .leftover, Digest(hex: name)?.description ?? name,
                "is the beginning of a pull, which another pull goes on with", .harmless)
        }
        for name in try Files.list(location.temporary) where !FileLock.isHeld("\(location.temporary)/\(name)/lock") {
            found.add(.leftover, "tmp/\(name)", "is what somebody wrote who ended before it was whole", .harmless)
        }
        for name in try Files.list(location.root) where name.hasPrefix("references.json.tmp.") {
            found.add(.leftover, name, "is a list whose writing ended", .harmless)
        }
    }
}

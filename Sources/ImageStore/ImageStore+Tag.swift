import OCISpec
import System

extension ImageStore {
    /// Gives an image one name more; a name that another image had moves.
    /// - Parameters:
    ///   - source: a name, or the beginning of an id.
    ///   - target: the new name.
    /// - Throws: `ImageError` when there is no such image, or the name cannot be given.
    @discardableResult
    public func tag(_ source: String, as target: String) throws -> ImageReference {
        let reference = try names.reference(target)
        guard reference.digest == nil else {
            throw ImageError("\"\(target)\" has a digest in it, which is never given but follows from what an image is")
        }
        // Keeps the content until it has its new name.
        let lock = try FileLock.acquire(location.lock, .shared)
        defer { lock.release() }
        let entry = try self.entry(source)
        try References.update(location) { references in
            guard references.images.contains(entry) else {
                throw ImageError("image \"\(source)\" was removed or replaced just now; name it again")
            }
            let digest = entry.descriptor.digest
            references.images.removeAll {
                $0.reference == reference.description || ($0.reference == nil && $0.descriptor.digest == digest)
            }
            var named = entry
            named.reference = reference.description
            references.images.append(named)
        }
        lock.release()
        // The image that had the name may have had no other.
        _ = try? collect()
        return reference
    }
}

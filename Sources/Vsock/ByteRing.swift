import Glibc

/// A bounded queue of bytes; memory is held only while something is in it.
struct ByteRing: ~Copyable {
    let capacity: Int
    private(set) var count = 0
    private var start = 0
    private var storage: UnsafeMutableRawPointer?

    init(capacity: Int) { self.capacity = capacity }

    deinit { free(storage) }

    var isEmpty: Bool { count == 0 }

    /// Appends what the vectors hold after the first `skip` bytes, `length` bytes in all.
    /// - Returns: false when there is no room or no memory; nothing is kept then.
    mutating func append(_ vectors: UnsafeBufferPointer<iovec>, skip: Int, length: Int) -> Bool {
        guard length <= capacity - count else { return false }
        if storage == nil { storage = malloc(capacity) }
        guard let storage else { return false }
        var skip = skip
        var left = length
        for vector in vectors where left > 0 {
            if skip >= vector.iov_len {
                skip -= vector.iov_len
                continue
            }
            var source = UnsafeRawPointer(vector.iov_base + skip)
            var piece = min(vector.iov_len - skip, left)
            skip = 0
            left -= piece
            while piece > 0 {
                let end = (start + count) % capacity
                let take = min(piece, capacity - end)
                memcpy(storage + end, source, take)
                source += take
                count += take
                piece -= take
            }
        }
        return true
    }

    /// The bytes in order, in at most two pieces.
    func withVectors<T>(_ body: (UnsafeBufferPointer<iovec>) -> T) -> T {
        guard let storage, count > 0 else { return body(UnsafeBufferPointer(start: nil, count: 0)) }
        let first = min(count, capacity - start)
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { vectors in
            vectors[0] = iovec(iov_base: storage + start, iov_len: first)
            vectors[1] = iovec(iov_base: storage, iov_len: count - first)
            return body(UnsafeBufferPointer(rebasing: vectors[..<(count > first ? 2 : 1)]))
        }
    }

    mutating func drop(_ amount: Int) {
        count -= amount
        start = (start + amount) % capacity
        if count == 0 { clear() }
    }

    mutating func clear() {
        free(storage)
        storage = nil
        start = 0
        count = 0
    }
}

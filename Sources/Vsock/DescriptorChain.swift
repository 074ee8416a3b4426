import Glibc

/// The buffers of one request: first what the guest gives to be read, then what it gives to be written. One is made per
/// queue and filled again and again, so that the data path allocates nothing.
final class DescriptorChain {
    /// As many vectors as one `writev(2)` takes.
    static let capacity = 1024

    private let vectors: UnsafeMutablePointer<iovec>
    private let scratch: UnsafeMutablePointer<iovec>
    private var count = 0
    private(set) var head: UInt16 = 0
    private(set) var readableCount = 0
    private(set) var readableBytes = 0
    private(set) var writableBytes = 0

    init() {
        vectors = .allocate(capacity: Self.capacity)
        scratch = .allocate(capacity: Self.capacity)
    }

    deinit {
        vectors.deallocate()
        scratch.deallocate()
    }

    func reset(head: UInt16) {
        self.head = head
        count = 0
        readableCount = 0
        readableBytes = 0
        writableBytes = 0
    }

    /// - Returns: false when the chain has too many pieces.
    func append(_ buffer: UnsafeMutableRawBufferPointer, writable: Bool) -> Bool {
        guard count < Self.capacity else { return false }
        vectors[count] = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
        count += 1
        if writable {
            writableBytes += buffer.count
        } else {
            readableCount += 1
            readableBytes += buffer.count
        }
        return true
    }

    /// `length` bytes of the readable part from `offset` on; valid until the next call.
    func readable(from offset: Int, length: Int) -> UnsafeBufferPointer<iovec> {
        slice(vectors, readableCount, offset, length)
    }

    /// `length` bytes of the writable part from `offset` on; valid until the next call.
    func writable(from offset: Int, length: Int) -> UnsafeBufferPointer<iovec> {
        slice(vectors + readableCount, count - readableCount, offset, length)
    }

    private func slice(
        _ source: UnsafeMutablePointer<iovec>, _ sourceCount: Int, _ offset: Int, _ length: Int
    ) -> UnsafeBufferPointer<iovec> {
        var skip = offset
        var left = length
        var filled = 0
        for index in 0..<sourceCount where left > 0 {
            let piece = source[index]
            if skip >= piece.iov_len {
                skip -= piece.iov_len
                continue
            }
            let take = min(piece.iov_len - skip, left)
            scratch[filled] = iovec(iov_base: piece.iov_base + skip, iov_len: take)
            filled += 1
            left -= take
            skip = 0
        }
        return UnsafeBufferPointer(start: scratch, count: filled)
    }

    /// Copies the first bytes of the readable part, which must be that long.
    func copyReadable(to buffer: UnsafeMutableRawBufferPointer) {
        guard let start = buffer.baseAddress else { return }
        var done = 0
        for piece in readable(from: 0, length: buffer.count) {
            memcpy(start + done, piece.iov_base, piece.iov_len)
            done += piece.iov_len
        }
    }

    /// Copies into the first bytes of the writable part, which must be that long.
    func copyToWritable(_ buffer: UnsafeRawBufferPointer) {
        guard let start = buffer.baseAddress else { return }
        var done = 0
        for piece in writable(from: 0, length: buffer.count) {
            memcpy(piece.iov_base, start + done, piece.iov_len)
            done += piece.iov_len
        }
    }
}

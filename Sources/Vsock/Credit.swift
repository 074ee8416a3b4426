/// Both directions' flow control for one connection (virtio 1.2, section 5.10.6.3). All counters are modulo 2^32.
struct Credit: Equatable, Sendable {
    /// What the guest may send before this side has passed it on, in bytes.
    let bufferInBytes: UInt32
    private(set) var received: UInt32 = 0
    /// What was passed on, or thrown away, of that.
    private(set) var forwarded: UInt32 = 0
    private var announced: UInt32 = 0

    private var sent: UInt32 = 0
    private var peerBufferInBytes: UInt32 = 0
    private var peerForwarded: UInt32 = 0

    init(bufferInBytes: UInt32) { self.bufferInBytes = bufferInBytes }

    /// For tests: counters that are about to wrap.
    init(bufferInBytes: UInt32, countersAt start: UInt32) {
        self.bufferInBytes = bufferInBytes
        (received, forwarded, announced, sent, peerForwarded) = (start, start, start, start, start)
    }

    // MARK: Guest to host

    /// Bytes that arrived and are not passed on.
    var held: UInt32 { received &- forwarded }

    /// - Returns: false when the guest sent more than it was allowed to; nothing is counted then.
    mutating func receive(_ count: UInt32) -> Bool {
        guard count <= bufferInBytes - held else { return false }
        received &+= count
        return true
    }

    mutating func forward(_ count: UInt32) { forwarded &+= count }

    /// Whether the guest should hear about space now. At half of what it has under way at most, it never runs dry as
    /// long as bytes are passed on, and one update serves many packets: each one costs the guest a buffer and perhaps
    /// an interrupt. Linux sends no more than its own buffer's size ahead, however large the other side's is; its
    /// buffer's size is the guest's to choose, and may be next to nothing.
    var needsAnnouncement: Bool {
        forwarded &- announced >= max(min(bufferInBytes, peerBufferInBytes) / 2, 1)
    }

    /// Every packet to the guest carries the counter.
    mutating func announce() -> UInt32 {
        announced = forwarded
        return forwarded
    }

    // MARK: Host to guest

    /// Takes the counters off a packet of the guest's.
    mutating func update(peerBufferInBytes: UInt32, peerForwarded: UInt32) {
        self.peerBufferInBytes = peerBufferInBytes
        self.peerForwarded = peerForwarded
    }

    /// How much the guest takes now; nothing where its counters make no sense.
    var available: UInt32 {
        let outstanding = sent &- peerForwarded
        return outstanding >= peerBufferInBytes ? 0 : peerBufferInBytes - outstanding
    }

    mutating func send(_ count: UInt32) { sent &+= count }
}

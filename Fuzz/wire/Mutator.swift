/// Changes inputs, the same way for the same seed (splitmix64).
struct Mutator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    private mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(max(limit, 1))) }

    /// Numbers at which decoders go wrong.
    private static let edges: [UInt8] = [0, 1, 7, 0x0a, 0x12, 0x7f, 0x80, 0xfe, 0xff]

    mutating func change(_ input: [UInt8]) -> [UInt8] {
        var bytes = input
        for _ in 0...below(6) {
            let place = below(bytes.count)
            switch below(6) {
            case 0 where !bytes.isEmpty: bytes[place] ^= 1 << UInt8(below(8))
            case 1 where !bytes.isEmpty: bytes[place] = Self.edges[below(Self.edges.count)]
            case 2: bytes.insert(contentsOf: (0...below(9)).map { _ in UInt8(truncatingIfNeeded: next()) }, at: place)
            case 3 where !bytes.isEmpty: bytes.removeSubrange(place..<min(bytes.count, place + 1 + below(8)))
            case 4 where !bytes.isEmpty:
                let piece = bytes[place..<min(bytes.count, place + 1 + below(64))]
                bytes.insert(contentsOf: piece, at: below(bytes.count))
            default: bytes.append(Self.edges[below(Self.edges.count)])
            }
        }
        return Array(bytes.prefix(1 << 16))
    }
}

import Glibc
import System

/// Inputs to start from, and the one being run, kept where a crash leaves it behind.
struct Corpus {
    static let longestInputInBytes = 1 << 16

    let inputs: [[UInt8]]
    let findingPath: String
    private let current: UnsafeMutableRawPointer
    private let file: FileDescriptor

    /// - Throws: `SystemError`.
    init(_ directory: String?) throws {
        var inputs: [[UInt8]] = []
        for name in try directory.map(Files.list)?.sorted() ?? [] where !name.hasPrefix(".") {
            inputs.append(try Files.read("\(directory ?? "")/\(name)", limit: Self.longestInputInBytes))
        }
        self.inputs = inputs
        findingPath = directory.map { "\(Files.parent(of: $0))/finding" } ?? "/tmp/FuzzVsock.\(getpid()).finding"
        // A shared mapping is written by the kernel whatever becomes of this process.
        file = try FileDescriptor.open(findingPath, O_RDWR | O_CREAT | O_TRUNC)
        let raw = file.raw
        try syscall("ftruncate") { ftruncate(raw, off_t(Self.longestInputInBytes)) }
        guard let map = mmap(nil, Self.longestInputInBytes, PROT_READ | PROT_WRITE, MAP_SHARED, raw, 0),
            map != MAP_FAILED
        else { throw SystemError("mmap", findingPath) }
        current = map
    }

    func record(_ input: [UInt8]) {
        memset(current, 0, Self.longestInputInBytes)
        input.withUnsafeBytes {
            if let base = $0.baseAddress { memcpy(current, base, min($0.count, Self.longestInputInBytes)) }
        }
    }

    func clear() { unlink(findingPath) }
}

/// Inputs from a seed: xorshift64* (Vigna, 2016), so that a run can be had again.
struct Generator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }

    mutating func below(_ limit: Int) -> Int { Int(next() >> 1) % max(limit, 1) }

    /// A corpus entry with a few changes, two of them joined, or something new.
    mutating func input(from corpus: [[UInt8]]) -> [UInt8] {
        guard !corpus.isEmpty, below(4) != 0 else {
            return (0..<below(600)).map { _ in UInt8(truncatingIfNeeded: next() >> 33) }
        }
        var input = corpus[below(corpus.count)]
        if below(3) == 0 {
            let other = corpus[below(corpus.count)]
            input = Array(input.prefix(below(input.count + 1))) + other.dropFirst(below(other.count + 1))
        }
        for _ in 0...below(8) {
            let at = below(input.count)
            switch below(5) {
            case 0: input.insert(UInt8(truncatingIfNeeded: next() >> 33), at: at)
            case 1 where !input.isEmpty: input.remove(at: at)
            case 2 where !input.isEmpty: input[at] ^= 1 << UInt8(below(8))
            case 3 where !input.isEmpty: input[at] = [0, 1, 2, 127, 128, 255][below(6)]
            default: input += (0..<below(24)).map { _ in UInt8(truncatingIfNeeded: next() >> 33) }
            }
        }
        return Array(input.prefix(4096))
    }
}

/// Filter programs of several architectures as one (classic BPF, kernel `Documentation/networking/filter.rst`).
///
/// Each part loads what it needs itself and has only relative jumps, so that they can stand one after the other:
///
///     load architecture
///     if it is B's: jump to B     (one pair for each further part)
///     A…                          (decides for every other architecture too)
///     B…
struct SeccompProgram {
    static let instructionInBytes = 8
    /// `BPF_MAXINSNS` (linux/bpf_common.h).
    static let mostInstructions = 4096
    // BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_JMP | BPF_JA
    private static let (loadAbsolute, jumpIfEqual, jump): (UInt16, UInt16, UInt16) = (0x20, 0x15, 0x05)
    /// Offset of `arch` in `struct seccomp_data` (linux/seccomp.h).
    private static let architectureOffset: UInt32 = 4

    private let first: [UInt8]
    private var others: [(architecture: UInt32, program: [UInt8])] = []

    init(_ first: [UInt8]) { self.first = first }

    mutating func add(_ program: [UInt8], architecture: UInt32) { others.append((architecture, program)) }

    var bytes: [UInt8] {
        if others.isEmpty { return first }
        var result: [UInt8] = []
        Self.append(Self.loadAbsolute, 0, 0, Self.architectureOffset, to: &result)
        var start = first.count / Self.instructionInBytes
        for (index, other) in others.enumerated() {
            let pairsAfter = others.count - index - 1
            Self.append(Self.jumpIfEqual, 0, 1, other.architecture, to: &result)
            // Unconditional jumps alone reach further than 255 instructions.
            Self.append(Self.jump, 0, 0, UInt32(2 * pairsAfter + start), to: &result)
            start += other.program.count / Self.instructionInBytes
        }
        return result + first + others.flatMap(\.program)
    }

    private static func append(
        _ code: UInt16, _ whenTrue: UInt8, _ whenFalse: UInt8, _ value: UInt32, to bytes: inout [UInt8]
    ) {
        withUnsafeBytes(of: code) { bytes.append(contentsOf: $0) }
        bytes.append(whenTrue)
        bytes.append(whenFalse)
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }
}

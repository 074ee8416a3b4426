/// Runs a filter's program as the kernel would (classic BPF, kernel `Documentation/networking/filter.rst`), as far as
/// libseccomp makes use of it.
struct FilterMachine {
    struct Call {
        var number: UInt32
        var architecture: UInt32
        var arguments: [UInt64] = []

        /// `struct seccomp_data` (linux/seccomp.h), in words.
        func word(_ offset: UInt32) -> UInt32? {
            switch offset {
            case 0: return number
            case 4: return architecture
            case 16..<64:
                let index = Int(offset - 16) / 8
                let argument = index < arguments.count ? arguments[index] : 0
                return UInt32(truncatingIfNeeded: offset % 8 == 0 ? argument : argument >> 32)
            default: return nil
            }
        }
    }

    private let program: [UInt8]

    init(_ program: [UInt8]) { self.program = program }

    /// What the program returns for a call; nil when it leaves itself or does what no filter does.
    func callAsFunction(_ call: Call) -> UInt32? {
        var accumulator: UInt32 = 0
        var index = 0
        while 8 * index + 8 <= program.count {
            let instruction = program[(8 * index)..<(8 * index + 8)]
            let bytes = Array(instruction)
            let value = bytes[4...].reversed().reduce(0) { $0 << 8 | UInt32($1) }
            func jump(_ condition: Bool) -> Int { Int(condition ? bytes[2] : bytes[3]) }
            index += 1
            switch UInt16(bytes[0]) | UInt16(bytes[1]) << 8 {
            case 0x20:
                guard let word = call.word(value) else { return nil }
                accumulator = word
            case 0x54: accumulator &= value
            case 0x05: index += Int(value)
            case 0x15: index += jump(accumulator == value)
            case 0x25: index += jump(accumulator > value)
            case 0x35: index += jump(accumulator >= value)
            case 0x45: index += jump(accumulator & value != 0)
            case 0x06: return value
            default: return nil
            }
        }
        return nil
    }
}

import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// Which devices a container may use, as the program that a cgroup of version 2 takes in place of a list
/// (`BPF_PROG_TYPE_CGROUP_DEVICE`, kernel `Documentation/admin-guide/cgroup-v2.rst`, "Device controller"). An image or a
/// program may make any node; without this, opening one would reach the guest's disks.
struct DeviceFilter: Equatable {
    /// `struct bpf_insn` of linux/bpf.h, each as one little-endian word.
    let program: [UInt64]

    /// Registers: type, access, major and minor of the request; one to work in, which held the context; the answer.
    private enum Register {
        static let answer: UInt64 = 0, work: UInt64 = 1, type: UInt64 = 2, access: UInt64 = 3, major: UInt64 = 4
        static let minor: UInt64 = 5
    }

    /// linux/bpf_common.h, linux/bpf.h.
    private enum Code {
        static let load: UInt64 = 0x61, and: UInt64 = 0x54, shiftRight: UInt64 = 0x74, move: UInt64 = 0xbc,
            set: UInt64 = 0xb7
        static let jumpUnless: UInt64 = 0x55, jumpUnlessRegister: UInt64 = 0x5d, jumpIf: UInt64 = 0x15,
            exit: UInt64 = 0x95
    }

    /// - Returns: nil where there are no rules, and so no limits.
    /// - Throws: `RPCError` for a rule that cannot be.
    init?(_ rules: [DeviceRule]) throws(RPCError) {
        if rules.isEmpty { return nil }
        // struct bpf_cgroup_dev_ctx: access << 16 | type, major, minor.
        var program = [
            Self.word(Code.load, Register.type, Register.work, offset: 0),
            Self.word(Code.and, Register.type, value: 0xffff),
            Self.word(Code.load, Register.access, Register.work, offset: 0),
            Self.word(Code.shiftRight, Register.access, value: 16),
            Self.word(Code.load, Register.major, Register.work, offset: 4),
            Self.word(Code.load, Register.minor, Register.work, offset: 8),
        ]
        var isTotal = false
        // The last rule that fits decides: so the first to be asked is the last.
        for rule in rules.reversed() {
            let body = try Self.body(rule)
            program += body
            // The kernel takes no instruction that cannot be reached.
            isTotal = body.count == 2
            if isTotal { break }
        }
        if !isTotal { program += Self.answer(false) }
        self.program = program
    }

    /// - Throws: `SystemError`.
    func attach(to cgroup: FileDescriptor) throws(SystemError) {
        let fd = cgroup.raw
        try syscall("bpf", "the filter of devices") { ca_attach_device_filter(fd, program, UInt32(program.count)) }
    }

    private static func answer(_ allow: Bool) -> [UInt64] {
        [word(Code.set, Register.answer, value: allow ? 1 : 0), word(Code.exit, 0)]
    }

    /// The conditions of a rule, each of which jumps over what is left of it, and its answer.
    private static func body(_ rule: DeviceRule) throws(RPCError) -> [UInt64] {
        /// Instructions whose jump target is filled in.
        var conditions: [(word: UInt64, jumps: Bool)] = []
        switch rule.type {
        case "", "a": break
        case "b": conditions.append((word(Code.jumpUnless, Register.type, value: 1), true))
        case "c": conditions.append((word(Code.jumpUnless, Register.type, value: 2), true))
        default: throw RPCError(.invalidArgument, "a rule is for devices of type \"\(rule.type)\", not a, b or c")
        }
        var mask: Int32 = 0
        for letter in rule.access.utf8 {
            switch letter {
            case UInt8(ascii: "m"): mask |= 1
            case UInt8(ascii: "r"): mask |= 2
            case UInt8(ascii: "w"): mask |= 4
            default:
                throw RPCError(
                    .invalidArgument, "a rule for devices has the access \"\(rule.access)\", not of r, w and m")
            }
        }
        if mask != 0 && mask != 7 {
            conditions.append((word(Code.move, Register.work, Register.access), false))
            conditions.append((word(Code.and, Register.work, value: mask), false))
            // Allowed is what is wholly in it, forbidden what is partly.
            conditions.append(
                rule.allow
                    ? (word(Code.jumpUnlessRegister, Register.work, Register.access), true)
                    : (word(Code.jumpIf, Register.work, value: 0), true))
        }
        for (number, register) in [(rule.major, Register.major), (rule.minor, Register.minor)] {
            guard let number, number != -1 else { continue }
            guard let number = Int32(exactly: number), number >= 0 else {
                throw RPCError(.invalidArgument, "a rule is for devices of number \(number)")
            }
            conditions.append((word(Code.jumpUnless, register, value: number), true))
        }
        let answer = answer(rule.allow)
        let count = conditions.count + answer.count
        return conditions.enumerated().map { index, condition in
            condition.jumps ? condition.word | UInt64(count - index - 1) << 16 : condition.word
        } + answer
    }

    private static func word(
        _ code: UInt64, _ target: UInt64, _ source: UInt64 = 0, offset: UInt64 = 0, value: Int32 = 0
    ) -> UInt64 {
        code | target << 8 | source << 12 | offset << 16 | UInt64(UInt32(bitPattern: value)) << 32
    }
}

import AgentAPI
import CAgent
import Glibc
import Protobuf
import System
import TTRPC

/// A system call filter, compiled by libseccomp from the runtime specification's profile
/// (<https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp>). The agent compiles, once per
/// container and while its root is being mounted; the init stage loads, as late as possible.
struct SeccompFilter: Message {
    /// Instructions of classic BPF.
    var program: [UInt8] = []
    /// `SECCOMP_FILTER_FLAG_*`.
    var flags: UInt32 = 0
    init() {}
    static let fields: [Field<SeccompFilter>] = [.singular(1, \.program, .bytes), .singular(2, \.flags, .uint32)]

    /// Each architecture is compiled by itself and the programs are joined by a jump on the caller's architecture:
    /// libseccomp takes more than ten times as long for all in one (90 ms under emulation for the default profile).
    /// - Throws: `RPCError` `invalidArgument` for a profile that says what does not exist.
    init(_ profile: Seccomp) throws {
        let native = seccomp_arch_native()
        var others: [UInt32] = []
        var x32 = false
        for name in profile.architectures {
            let token = try Self.architecture(name)
            if token == Self.x32 {
                x32 = true
            } else if token != native && !others.contains(token) {
                others.append(token)
            }
        }
        var joined = SeccompProgram(try Self.compile(profile, native, hasX32: x32))
        for token in others { joined.add(try Self.compile(profile, token, hasX32: false), architecture: token) }
        program = joined.bytes
        flags = try Self.flags(profile.flags)
    }

    func load() throws(SystemError) {
        try syscall("seccomp") { program.withUnsafeBytes { ca_seccomp_load($0.baseAddress, $0.count, flags) } }
    }

    /// `__NR_SCMP_ERROR`.
    private static let unknownCall: Int32 = -1
    /// `SCMP_ARCH_X32`: the same architecture as x86-64 with other numbers.
    private static let x32: UInt32 = 0x4000_003e

    private static func architecture(_ name: String) throws(RPCError) -> UInt32 {
        // The runtime specification's SCMP_ARCH_X86_64 is libseccomp's x86_64.
        let short = name.hasPrefix("SCMP_ARCH_") ? String(name.dropFirst(10)).lowercased() : name
        let token = seccomp_arch_resolve_name(short)
        guard token != 0 else { throw RPCError(.invalidArgument, "seccomp: there is no architecture \(name)") }
        return token
    }

    /// One architecture's program.
    private static func compile(_ profile: Seccomp, _ architecture: UInt32, hasX32: Bool) throws -> [UInt8] {
        let defaultAction = try action(profile.defaultAction, errno: profile.defaultErrno)
        guard let context = seccomp_init(defaultAction) else {
            throw RPCError(.invalidArgument, "seccomp: default action \(profile.defaultAction) cannot be")
        }
        defer { seccomp_release(context) }
        if architecture != seccomp_arch_native() {
            guard seccomp_arch_add(context, architecture) == 0,
                seccomp_arch_remove(context, seccomp_arch_native()) == 0
            else { throw RPCError(.invalidArgument, "seccomp: architecture \(architecture) is not for this machine") }
        }
        // The guest's kernel has no x32; where a profile would allow its calls, they fail as they do without a filter.
        if hasX32 { _ = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, 0x0005_0000 | UInt32(ENOSYS)) }
        // The program's size grows, but a system call is found in a few steps instead of hundreds.
        _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
        for rule in profile.rules { try add(rule, defaultAction, context) }
        return try export(context)
    }

    private static func add(_ rule: Seccomp.Rule, _ defaultAction: UInt32, _ context: scmp_filter_ctx) throws(RPCError)
    {
        let action = try action(rule.action, errno: rule.errno)
        // libseccomp refuses a rule that changes nothing.
        if action == defaultAction { return }
        let comparisons = try rule.arguments.map { argument throws(RPCError) in try comparison(argument) }
        // One argument compared more than once means either, as in runc; libseccomp would need all.
        let once = Set(rule.arguments.map(\.index)).count == comparisons.count
        let alternatives = once ? [comparisons] : comparisons.map { [$0] }
        for name in rule.names {
            let number = seccomp_syscall_resolve_name(name)
            // Profiles name calls of kernels older and newer than this library.
            if number == unknownCall { continue }
            for alternative in alternatives {
                let result = seccomp_rule_add_array(context, action, number, UInt32(alternative.count), alternative)
                guard result == 0 || result == -EEXIST || result == -EDOM else {
                    throw RPCError(.invalidArgument, "seccomp: rule for \(name): \(String(cString: strerror(-result)))")
                }
            }
        }
    }

    private static func comparison(_ argument: Seccomp.Argument) throws(RPCError) -> scmp_arg_cmp {
        guard let operation = comparisons[argument.comparison], argument.index < 6 else {
            throw RPCError(
                .invalidArgument, "seccomp: comparison \(argument.comparison) of argument \(argument.index) cannot be")
        }
        return scmp_arg_cmp(
            arg: argument.index, op: operation, datum_a: argument.value, datum_b: argument.valueTwo)
    }

    private static func export(_ context: scmp_filter_ctx) throws -> [UInt8] {
        let file = FileDescriptor(try syscall("memfd_create") { ca_memfd("seccomp") })
        let result = seccomp_export_bpf(context, file.raw)
        guard result == 0 else { throw RPCError(.internal, "seccomp: \(String(cString: strerror(-result)))") }
        lseek(file.raw, 0, SEEK_SET)
        return try file.readToEnd(limit: 1 << 20)
    }

    private static let comparisons: [String: scmp_compare] = [
        "SCMP_CMP_NE": SCMP_CMP_NE, "SCMP_CMP_LT": SCMP_CMP_LT, "SCMP_CMP_LE": SCMP_CMP_LE, "SCMP_CMP_EQ": SCMP_CMP_EQ,
        "SCMP_CMP_GE": SCMP_CMP_GE, "SCMP_CMP_GT": SCMP_CMP_GT, "SCMP_CMP_MASKED_EQ": SCMP_CMP_MASKED_EQ,
    ]

    /// linux/seccomp.h: the action in the upper half, its data in the lower.
    private static func action(_ name: String, errno code: UInt32?) throws(RPCError) -> UInt32 {
        switch name {
        case "SCMP_ACT_ALLOW": return 0x7fff_0000
        case "SCMP_ACT_LOG": return 0x7ffc_0000
        case "SCMP_ACT_ERRNO": return 0x0005_0000 | (code ?? UInt32(EPERM)) & 0xffff
        case "SCMP_ACT_TRACE": return 0x7ff0_0000 | (code ?? UInt32(EPERM)) & 0xffff
        case "SCMP_ACT_TRAP": return 0x0003_0000
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": return 0
        case "SCMP_ACT_KILL_PROCESS": return 0x8000_0000
        default: throw RPCError(.invalidArgument, "seccomp: there is no action \"\(name)\"")
        }
    }

    private static func flags(_ names: [String]) throws(RPCError) -> UInt32 {
        var flags: UInt32 = 0
        for name in names {
            switch name {
            // One thread alone: there is nothing to synchronise with.
            case "SECCOMP_FILTER_FLAG_TSYNC": continue
            case "SECCOMP_FILTER_FLAG_LOG": flags |= 2
            case "SECCOMP_FILTER_FLAG_SPEC_ALLOW": flags |= 4
            default: throw RPCError(.invalidArgument, "seccomp: flag \(name) is not supported")
            }
        }
        return flags
    }
}

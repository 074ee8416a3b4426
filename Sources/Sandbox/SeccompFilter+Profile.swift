import AgentAPI
import CSeccomp
import CSystem
import Glibc
import OCISpec
import System

extension SeccompFilter {
    /// The program of the runtime specification's profile
    /// (<https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp>), made by libseccomp: here, in a
    /// few milliseconds while the guest boots, and not in the guest, where all of it would be part of the start.
    ///
    /// Each architecture is compiled by itself and the programs are joined by a jump on the caller's architecture:
    /// libseccomp takes more than ten times as long for all in one.
    ///
    /// Safe from any thread: what libseccomp has beside its contexts is the API level.
    /// - Throws: `SandboxError` `invalid` for a profile that says what does not exist.
    init(_ profile: SeccompProfile) throws {
        self.init()
        _ = Self.fixAPILevel
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
        let count = program.count / SeccompProgram.instructionInBytes
        guard count <= SeccompProgram.mostInstructions else {
            throw Self.invalid(
                "the profile makes a program of \(count) instructions, and Linux takes \(SeccompProgram.mostInstructions) "
                    + "at most; give it fewer rules or architectures")
        }
    }

    /// Once: everything that this version of libseccomp can do. Left to itself it asks the running kernel which actions
    /// there are, and the kernel that loads the program is the guest's.
    private static let fixAPILevel: Void = {
        var level: UInt32 = 1
        while seccomp_api_set(level) == 0 { level += 1 }
    }()

    /// `__NR_SCMP_ERROR`.
    private static let unknownCall: Int32 = -1
    /// `SCMP_ARCH_X32`: the same architecture as x86-64 with other numbers.
    private static let x32: UInt32 = 0x4000_003e

    private static func invalid(_ sentence: String) -> SandboxError { SandboxError(.invalid, "seccomp: \(sentence)") }

    private static func architecture(_ name: String) throws(SandboxError) -> UInt32 {
        // The runtime specification's SCMP_ARCH_X86_64 is libseccomp's x86_64.
        let short = name.hasPrefix("SCMP_ARCH_") ? String(name.dropFirst(10)).lowercased() : name
        let token = seccomp_arch_resolve_name(short)
        guard token != 0 else { throw invalid("there is no architecture \(name)") }
        return token
    }

    /// One architecture's program.
    private static func compile(_ profile: SeccompProfile, _ architecture: UInt32, hasX32: Bool) throws -> [UInt8] {
        let defaultAction = try action(profile.defaultAction, errno: profile.defaultErrnoRet)
        guard let context = seccomp_init(defaultAction) else {
            throw invalid("default action \(profile.defaultAction.rawValue) cannot be")
        }
        defer { seccomp_release(context) }
        if architecture != seccomp_arch_native() {
            guard seccomp_arch_add(context, architecture) == 0,
                seccomp_arch_remove(context, seccomp_arch_native()) == 0
            else { throw invalid("architecture \(architecture) is not for this machine") }
        }
        // The guest's kernel has no x32; where a profile would allow its calls, they fail as they do without a filter.
        if hasX32 { _ = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, 0x0005_0000 | UInt32(ENOSYS)) }
        // The program's size grows, but a system call is found in a few steps instead of hundreds.
        _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
        for rule in profile.syscalls { try add(rule, defaultAction, context) }
        return try export(context)
    }

    private static func add(
        _ rule: SeccompProfile.Rule, _ defaultAction: UInt32, _ context: scmp_filter_ctx
    ) throws(SandboxError) {
        let action = try action(rule.action, errno: rule.errnoRet)
        // libseccomp refuses a rule that changes nothing.
        if action == defaultAction { return }
        let comparisons = try rule.args.map { argument throws(SandboxError) in try comparison(argument) }
        // One argument compared more than once means either, as in runc; libseccomp would need all.
        let once = Set(rule.args.map(\.index)).count == comparisons.count
        let alternatives = once ? [comparisons] : comparisons.map { [$0] }
        for name in rule.names {
            let number = seccomp_syscall_resolve_name(name)
            // Profiles name calls of kernels older and newer than this library.
            if number == unknownCall { continue }
            for alternative in alternatives {
                let result = seccomp_rule_add_array(context, action, number, UInt32(alternative.count), alternative)
                guard result == 0 || result == -EEXIST || result == -EDOM else {
                    throw invalid("rule for \(name): \(String(cString: strerror(-result)))")
                }
            }
        }
    }

    private static func comparison(_ argument: SeccompProfile.Argument) throws(SandboxError) -> scmp_arg_cmp {
        guard let operation = comparisons[argument.op], argument.index < 6 else {
            throw invalid("comparison \(argument.op.rawValue) of argument \(argument.index) cannot be")
        }
        return scmp_arg_cmp(
            arg: argument.index, op: operation, datum_a: argument.value, datum_b: argument.valueTwo ?? 0)
    }

    private static func export(_ context: scmp_filter_ctx) throws -> [UInt8] {
        let file = FileDescriptor(try syscall("memfd_create") { cs_memfd("seccomp") })
        let result = seccomp_export_bpf(context, file.raw)
        guard result == 0 else {
            throw SandboxError(.failed, "seccomp: \(String(cString: strerror(-result)))")
        }
        lseek(file.raw, 0, SEEK_SET)
        return try file.readToEnd(limit: 1 << 20)
    }

    private static let comparisons: [SeccompProfile.Comparison: scmp_compare] = [
        .notEqual: SCMP_CMP_NE, .less: SCMP_CMP_LT, .lessOrEqual: SCMP_CMP_LE, .equal: SCMP_CMP_EQ,
        .greaterOrEqual: SCMP_CMP_GE, .greater: SCMP_CMP_GT, .maskedEqual: SCMP_CMP_MASKED_EQ,
    ]

    /// linux/seccomp.h: the action in the upper half, its data in the lower.
    private static func action(_ action: SeccompProfile.Action, errno code: UInt32?) throws(SandboxError) -> UInt32 {
        switch action {
        case .allow: return 0x7fff_0000
        case .log: return 0x7ffc_0000
        case .errno: return 0x0005_0000 | (code ?? UInt32(EPERM)) & 0xffff
        case .trace: return 0x7ff0_0000 | (code ?? UInt32(EPERM)) & 0xffff
        case .trap: return 0x0003_0000
        case .kill, .killThread: return 0
        case .killProcess: return 0x8000_0000
        default: throw invalid("there is no action \"\(action.rawValue)\"")
        }
    }

    private static func flags(_ names: [String]) throws(SandboxError) -> UInt32 {
        var flags: UInt32 = 0
        for name in names {
            switch name {
            // One thread alone: there is nothing to synchronise with.
            case "SECCOMP_FILTER_FLAG_TSYNC": continue
            case "SECCOMP_FILTER_FLAG_LOG": flags |= 2
            case "SECCOMP_FILTER_FLAG_SPEC_ALLOW": flags |= 4
            default: throw invalid("flag \(name) is not supported")
            }
        }
        return flags
    }
}

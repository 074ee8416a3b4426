import AgentAPI
import Glibc
import OCISpec
import System
import Testing

@testable import Sandbox

/// Profiles of the runtime specification as programs.
struct SeccompTests {
    private static let allow: UInt32 = 0x7fff_0000
    private static let killProcess: UInt32 = 0x8000_0000
    private static func fails(_ error: Int32) -> UInt32 { 0x0005_0000 | UInt32(error) }

    private func profile(
        _ rules: [SeccompProfile.Rule], architectures: [String] = [], flags: [String] = []
    ) -> SeccompProfile {
        SeccompProfile(defaultAction: .allow, architectures: architectures, flags: flags, syscalls: rules)
    }

    private func rule(
        _ name: String, _ action: SeccompProfile.Action = .errno, _ arguments: [SeccompProfile.Argument] = []
    ) -> SeccompProfile.Rule {
        SeccompProfile.Rule(names: [name], action: action, args: arguments)
    }

    #if arch(x86_64)
    private static let (x86_64, i386, aarch64): (UInt32, UInt32, UInt32) = (0xc000_003e, 0x4000_0003, 0xc000_00b7)
    private static let x32Bit: UInt32 = 0x4000_0000

    @Test func eachArchitectureHasItsNumbers() throws {
        let rules = [
            SeccompProfile.Rule(
                names: ["mkdir", "a_call_of_another_kernel", "mkdirat"], action: .errno, errnoRet: UInt32(EXDEV)),
            rule("sync", .killProcess), rule("reboot"),
        ]
        let all = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
        let run = FilterMachine(try SeccompFilter(profile(rules, architectures: all)).program)
        for (number, architecture, expected) in [
            (UInt32(83), Self.x86_64, Self.fails(EXDEV)), (258, Self.x86_64, Self.fails(EXDEV)),
            (162, Self.x86_64, Self.killProcess), (169, Self.x86_64, Self.fails(EPERM)),
            (39, Self.x86_64, Self.allow), (39, Self.i386, Self.fails(EXDEV)), (36, Self.i386, Self.killProcess),
            (83, Self.i386, Self.allow), (83 | Self.x32Bit, Self.x86_64, Self.fails(ENOSYS)),
            (0 | Self.x32Bit, Self.x86_64, Self.fails(ENOSYS)),
        ] {
            #expect(run(.init(number: number, architecture: architecture)) == expected, "\(number), \(architecture)")
        }
        // Architectures that the profile does not name.
        let native = FilterMachine(try SeccompFilter(profile(rules)).program)
        #expect(native(.init(number: 83, architecture: Self.x86_64)) == Self.fails(EXDEV))
        for (number, architecture) in [(39, Self.i386), (34, Self.aarch64), (0 | Self.x32Bit, Self.x86_64)] {
            #expect(native(.init(number: number, architecture: architecture)) == 0, "kills")
        }
    }

    @Test func argumentsAreCompared() throws {
        func argument(
            _ index: UInt32, _ value: UInt64, _ operation: SeccompProfile.Comparison, two: UInt64? = nil
        ) -> SeccompProfile.Argument {
            .init(index: index, value: value, valueTwo: two, op: operation)
        }
        let large: UInt64 = 0x1_0000_0005
        let cases: [([SeccompProfile.Argument], [UInt64], Bool)] = [
            ([argument(0, large, .equal)], [large], true), ([argument(0, large, .equal)], [5], false),
            ([argument(0, 5, .notEqual)], [large], true), ([argument(0, 5, .notEqual)], [5], false),
            ([argument(1, 5, .less)], [0, 4], true), ([argument(1, 5, .less)], [0, 5], false),
            ([argument(1, 5, .lessOrEqual)], [0, 5], true), ([argument(1, 5, .greater)], [0, 5], false),
            ([argument(5, 5, .greaterOrEqual)], [0, 0, 0, 0, 0, large], true),
            ([argument(0, 0xff, .maskedEqual, two: 1)], [0x201], true),
            ([argument(0, 0xff, .maskedEqual, two: 1)], [0x202], false),
            ([argument(0, 0xff, .maskedEqual)], [0x200], true),
            // Of different arguments all must hold, of one any.
            ([argument(0, 1, .equal), argument(1, 2, .equal)], [1, 2], true),
            ([argument(0, 1, .equal), argument(1, 2, .equal)], [1, 3], false),
            ([argument(0, 1, .equal), argument(0, 2, .equal)], [2], true),
            ([argument(0, 1, .equal), argument(0, 2, .equal)], [3], false),
        ]
        for (comparisons, arguments, isRefused) in cases {
            let filter = try SeccompFilter(profile([rule("personality", .errno, comparisons)]))
            let run = FilterMachine(filter.program)
            #expect(
                run(.init(number: 135, architecture: Self.x86_64, arguments: arguments))
                    == (isRefused ? Self.fails(EPERM) : Self.allow), "\(comparisons) of \(arguments)")
        }
    }

    @Test func theDefaultProfileRefusesWhatItShould() throws {
        let capabilities = RuntimeSpec.Capabilities.defaultNames
        let run = FilterMachine(try SeccompFilter(.default(capabilities: capabilities)).program)
        for (number, arguments, expected) in [
            (UInt32(0), [UInt64](), Self.allow), (39, [], Self.allow), (101, [], Self.allow),
            (41, [1], Self.allow), (41, [40], Self.fails(EPERM)), (56, [0x0120_0011], Self.allow),
            (56, [0x1000_0000], Self.fails(EPERM)), (435, [], Self.fails(ENOSYS)), (272, [], Self.fails(EPERM)),
            (425, [], Self.fails(EPERM)), (1000, [], Self.fails(EPERM)),
        ] {
            let call = FilterMachine.Call(number: number, architecture: Self.x86_64, arguments: arguments)
            #expect(run(call) == expected, "\(number)\(arguments)")
        }
    }
    #endif

    @Test(arguments: [
        (SeccompProfile(defaultAction: .notify), "seccomp: there is no action \"SCMP_ACT_NOTIFY\""),
        (
            SeccompProfile(defaultAction: .allow, syscalls: [.init(names: ["read"], action: .init(rawValue: "NO"))]),
            "seccomp: there is no action \"NO\""
        ),
        (
            SeccompProfile(defaultAction: .allow, architectures: ["SCMP_ARCH_VAX"]),
            "seccomp: there is no architecture SCMP_ARCH_VAX"
        ),
        (
            SeccompProfile(defaultAction: .allow, flags: ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]),
            "seccomp: flag SECCOMP_FILTER_FLAG_NEW_LISTENER is not supported"
        ),
        (
            SeccompProfile(
                defaultAction: .allow,
                syscalls: [.init(names: ["read"], action: .errno, args: [.init(index: 6, value: 0, op: .equal)])]),
            "seccomp: comparison SCMP_CMP_EQ of argument 6 cannot be"
        ),
        (
            SeccompProfile(
                defaultAction: .allow,
                syscalls: [
                    .init(names: ["read"], action: .errno, args: [.init(index: 0, value: 0, op: .init(rawValue: "~"))])
                ]), "seccomp: comparison ~ of argument 0 cannot be"
        ),
    ])
    func profilesThatCannotBe(_ profile: SeccompProfile, _ sentence: String) throws {
        let error = try #require(throws: SandboxError.self) { try SeccompFilter(profile) }
        #expect(error.kind == .invalid)
        #expect(error.description == sentence)
    }

    @Test func aProgramHasALength() throws {
        func filter(_ count: Int) throws -> SeccompFilter {
            try SeccompFilter(
                profile(
                    (0..<count).map { rule("personality", .errno, [.init(index: 0, value: UInt64($0), op: .equal)]) }))
        }
        #expect(try filter(1000).program.count <= 8 * 4096)
        let error = try #require(throws: SandboxError.self) { try filter(5000) }
        #expect(error.kind == .invalid)
        #expect(error.description.hasPrefix("seccomp: the profile makes a program of "), "\(error)")
        #expect(error.description.contains(" 4096 "))
    }

    @Test func flagsAreTheKernels() throws {
        let names = ["TSYNC", "LOG", "SPEC_ALLOW"].map { "SECCOMP_FILTER_FLAG_\($0)" }
        #expect(try SeccompFilter(profile([rule("sync")], flags: names)).flags == 6)
        #expect(try SeccompFilter(profile([rule("sync")])).flags == 0)
    }

    /// Containers of a pod may be made side by side.
    @Test func profilesAreCompiledSideBySide() throws {
        let profiles = [[], ["CAP_SYS_ADMIN"], RuntimeSpec.Capabilities.defaultNames].map {
            SeccompProfile.default(capabilities: $0)
        }
        let expected = try profiles.map { try SeccompFilter($0) }
        #expect(Set(expected.map(\.program)).count == 3)
        let work = (0..<12).map { index in Background("test") { try SeccompFilter(profiles[index % 3]) } }
        for (index, compilation) in work.enumerated() {
            #expect(try compilation.value().program == expected[index % 3].program)
        }
    }

    /// Runs the joined program's prologue by hand: where does each architecture end up?
    @Test func filterProgramsAreJoined() throws {
        func part(_ result: UInt8, _ count: Int) -> [UInt8] {
            [UInt8](
                ([[6, 0, 0, 0, result, 0, 0, 0]]
                    + Array(repeating: [UInt8](repeating: 0xff, count: 8), count: count - 1)).joined())
        }
        var joined = SeccompProgram(part(0xa, 300))
        joined.add(part(0xb, 2), architecture: 0xb)
        joined.add(part(0xc, 1), architecture: 0xc)
        let bytes = joined.bytes
        let run = FilterMachine(bytes)
        #expect(bytes.count == 8 * (5 + 303))
        #expect([0x3e, 0xb, 0xc].map { run(.init(number: 0, architecture: $0)) } == [0xa, 0xb, 0xc])
        #expect(SeccompProgram(part(1, 1)).bytes == part(1, 1))
    }
}

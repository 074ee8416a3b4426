import Config
import Glibc
import OCISpec
import System
import Testing

@testable import CloisterCommands

@Suite struct RunSpecTests {
    let image = ImageConfig.Execution(
        User: "web", Env: ["PATH=/bin", "LANG=C"], Entrypoint: ["/entry", "-x"], Cmd: ["serve"], WorkingDir: "/srv")

    func spec(_ flags: [String], _ command: [String] = []) throws -> RuntimeSpec {
        try run(flags, ["image"] + command).spec(
            image: image, id: "c0ffee", own: { ["HOME": "/h", "A": "own"][$0] })
    }

    @Test(
        arguments: [
            ("the image's", [], [], ["/entry", "-x", "serve"]),
            ("another command", [], ["ls", "-l"], ["/entry", "-x", "ls", "-l"]),
            ("another entry point forgets the command", ["--entrypoint", "sh"], [], ["sh"]),
            ("both", ["--entrypoint=sh"], ["-c", "true"], ["sh", "-c", "true"]),
            ("no entry point", ["--entrypoint", ""], ["true"], ["true"]),
        ] as [(String, [String], [String], [String])])
    func arguments(_ name: String, _ flags: [String], _ command: [String], _ expected: [String]) throws {
        #expect(try spec(flags, command).process?.args == expected)
    }

    @Test func noEntryPointAndNoCommand() {
        #expect(throws: UserError("the image names no command to run; give one after the image's name.")) {
            try spec(["--entrypoint="])
        }
    }

    @Test(
        arguments: [
            ("the image's", [], ["PATH=/bin", "HOSTNAME=c0ffee", "LANG=C"]),
            ("replaced in place", ["-e", "LANG=de"], ["PATH=/bin", "HOSTNAME=c0ffee", "LANG=de"]),
            ("from this process", ["-e", "A"], ["PATH=/bin", "HOSTNAME=c0ffee", "LANG=C", "A=own"]),
            ("not set here, so taken away", ["-e", "LANG"], ["PATH=/bin", "HOSTNAME=c0ffee"]),
            ("empty value", ["-e", "LANG="], ["PATH=/bin", "HOSTNAME=c0ffee", "LANG="]),
            ("terminal", ["-t"], ["PATH=/bin", "HOSTNAME=c0ffee", "TERM=xterm", "LANG=C"]),
            ("host name", ["-h", "web"], ["PATH=/bin", "HOSTNAME=web", "LANG=C"]),
        ] as [(String, [String], [String])])
    func environment(_ name: String, _ flags: [String], _ expected: [String]) throws {
        #expect(try spec(flags).process?.env == expected)
    }

    @Test func filesComeBeforeVariables() throws {
        let path = "/tmp/cloister-env-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try Files.write(path, "B=file\nC=file\n")
        defer { unlink(path) }
        let entries = try spec(["-e", "B=flag", "--env-file", path]).process?.env.filter {
            $0.contains("fil") || $0.contains("flag")
        }
        #expect(entries == ["B=flag", "C=file"])
    }

    @Test(arguments: [
        ("plain", "A=1\nB=2", ["A=1", "B=2"]),
        ("comments and blank lines", "# no\n\n  # no\n  A=1\n", ["A=1"]),
        ("nothing is unquoted or trimmed", "A=\"x y\" # z \nB='q' ", ["A=\"x y\" # z ", "B='q' "]),
        ("carriage returns", "A=1\r\nB=2\r\n", ["A=1", "B=2"]),
        ("from this process", "HOME\nNOTSET", ["HOME=/h"]),
        ("empty value", "A=", ["A="]),
        ("byte order mark", "\u{FEFF}A=1", ["A=1"]),
        ("empty", "", []),
    ])
    func environmentFiles(_ name: String, _ text: String, _ expected: [String]) throws {
        let parsed = try ContainerEnvironment.parse(Array(text.utf8), path: "f", own: { ["HOME": "/h"][$0] })
        #expect(parsed == expected)
    }

    @Test(
        arguments: [
            ("no name", Array("A=1\n=x".utf8), "--env-file: f, line 2, has no name before the \"=\"."),
            ("space in the name", Array("A B=1".utf8), "--env-file: f, line 1: the name \"A B\" has a space in it."),
            ("not text", [65, 61, 0xff], "--env-file: f is not UTF-8 text."),
        ] as [(String, [UInt8], String)])
    func wrongEnvironmentFiles(_ name: String, _ bytes: [UInt8], _ expected: String) {
        #expect(throws: UserError(expected)) { try ContainerEnvironment.parse(bytes, path: "f", own: { _ in nil }) }
    }

    @Test(
        arguments: [
            ("dropped", ["--cap-drop", "chown"], false, "CAP_CHOWN"),
            ("dropped, in full", ["--cap-drop", "CAP_CHOWN"], false, "CAP_CHOWN"),
            ("added", ["--cap-add", "net_admin"], true, "CAP_NET_ADMIN"),
            ("all", ["--cap-add", "ALL"], true, "CAP_BPF"),
            ("all but", ["--cap-add", "ALL", "--cap-drop", "BPF"], false, "CAP_BPF"),
            ("none but", ["--cap-drop", "ALL", "--cap-add", "KILL"], true, "CAP_KILL"),
            ("none", ["--cap-drop", "ALL"], false, "CAP_KILL"),
        ] as [(String, [String], Bool, String)])
    func capabilities(_ name: String, _ flags: [String], _ held: Bool, _ capability: String) throws {
        let sets = try #require(try spec(flags).process?.capabilities)
        for set in [sets.bounding, sets.effective, sets.permitted] { #expect(set.contains(capability) == held) }
    }

    @Test(arguments: [
        (["--cap-add", "FLY"], "\"FLY\" is not a capability; capabilities(7) lists them, e.g. NET_ADMIN."),
        (["-w", "here"], "the working directory \"here\" is not an absolute path."),
        (["-e", "=x"], "-e: \"=x\" has no name; write NAME=value."),
        (
            ["--env-file", "/nowhere/f"],
            "--env-file: open /nowhere/f: No such file or directory; give a file of NAME=value lines that can be read."
        ),
        (
            ["--security-opt", "seccomp=/nowhere/f"],
            "--security-opt: open /nowhere/f: No such file or directory; give a seccomp profile that can be read, or "
                + "seccomp=unconfined."
        ),
    ])
    func refusedWishes(_ flags: [String], _ expected: String) {
        #expect(throws: UserError(expected)) { try spec(flags) }
    }

    @Test(arguments: [
        (
            ["--memory", "4m"],
            "--memory: 4194304 bytes are too few to run a command in; the minimum is 6m."
        ),
        (["--memory", "lots"], "--memory: \"lots\" is not a size; write it like 512k, 64m or 1g."),
        (
            ["--cpus", "1000"],
            "--cpus: this machine has \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) CPUs; ask for at most "
                + "\(sysconf(Int32(_SC_NPROCESSORS_ONLN)))."
        ),
        (
            ["--network", "host"],
            "--network: \"host\" is not available: containers have no network yet, so leave --network out or say none."
        ),
        (["--pids-limit", "many"], "--pids-limit: \"many\" is not a whole number."),
        (["--timeout", "0"], "--timeout: \"0\" is not a length of time; write it like 30, 90s or 1m30s."),
        (
            ["--ulimit", "files=1"],
            "--ulimit: \"files=1\" names no limit; there are \(Ulimit.names.joined(separator: ", "))."
        ),
    ])
    func refusedFlags(_ flags: [String], _ expected: String) {
        #expect(refusal(["run"] + flags + ["image"]) == expected)
    }

    @Test func limitsReachTheContainer() throws {
        let spec = try spec([
            "-m", "64m", "--cpus", "0.5", "--pids-limit", "10", "--ulimit", "nofile=5:6", "--ulimit", "core=-1",
        ])
        #expect(spec.linux?.resources?.memory?.limit == 64 << 20)
        #expect(spec.linux?.resources?.cpu?.quota == 50_000)
        #expect(spec.linux?.resources?.cpu?.period == 100_000)
        #expect(spec.linux?.resources?.pids?.limit == 10)
        #expect(
            spec.process?.rlimits == [
                RuntimeSpec.Rlimit(type: "RLIMIT_NOFILE", hard: 6, soft: 5),
                RuntimeSpec.Rlimit(type: "RLIMIT_CORE", hard: .max, soft: .max),
            ])
    }

    @Test(arguments: [(["--pids-limit", "0"], -1), (["--pids-limit=-1"], -1), ([], nil)] as [([String], Int64?)])
    func noPidsLimit(_ flags: [String], _ expected: Int64?) throws {
        #expect(try spec(flags).linux?.resources?.pids?.limit == expected)
    }

    @Test func theRestReachesTheContainer() throws {
        let spec = try spec(["--read-only", "-u", "1:2", "-w", "/w", "--security-opt", "no-new-privileges", "-t"])
        #expect(spec.root?.readonly == true)
        #expect(spec.annotations[RuntimeSpec.userAnnotation] == "1:2")
        #expect(spec.process?.cwd == "/w")
        #expect(spec.process?.noNewPrivileges == true)
        #expect(spec.process?.terminal == true)
        #expect(spec.hostname == "c0ffee")
    }

    @Test func theFilterIsOnUnlessToldOtherwise() throws {
        #expect(try spec([]).linux?.seccomp?.defaultAction == .errno)
        #expect(try spec(["--security-opt", "seccomp=unconfined"]).linux?.seccomp == nil)
    }

    @Test func aTmpfsTakesThePlaceOfADefaultMount() throws {
        let mounts = try spec(["--tmpfs", "/run:size=1m", "--tmpfs", "/data"]).mounts
        #expect(
            mounts.filter { $0.destination == "/run" }.map(\.options) == [["noexec", "nosuid", "nodev", "size=1m"]])
        #expect(mounts.last?.destination == "/data")
        #expect(mounts.last?.type == "tmpfs")
    }

    @Test(
        arguments: [
            ("default", nil, nil, 512, 1), ("limit and overhead", "256m", nil, 320, 1),
            ("large", "17g", nil, (17 << 10) + 64 + 256, 1), ("small", "6m", nil, 128, 1),
            ("whole MiB", "104857601", nil, 165, 1), ("fraction of a CPU", nil, "1.5", 512, 2),
        ] as [(String, String?, String?, UInt64, UInt32)])
    func machines(_ name: String, _ memory: String?, _ cpus: String?, _ mebibytes: UInt64, _ vcpus: UInt32) throws {
        let size = MachineSize(
            memoryLimitInBytes: try memory.map { try ByteSize(argument: $0).bytes },
            vcpus: try cpus.map { try CPUCount(argument: $0).vcpus }, Configuration(environment: { _ in nil }))
        #expect(size.memoryInBytes == mebibytes << 20)
        #expect(size.vcpus == vcpus)
    }

    @Test func dockersProfilesAreReadWithTheirConditions() throws {
        let text = """
            {"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,
             "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]},
                        {"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]}],
             "syscalls":[
              {"names":["read"],"action":"SCMP_ACT_ALLOW","args":null,"includes":{},"excludes":{}},
              {"name":"write","action":"SCMP_ACT_ALLOW"},
              {"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
              {"names":["chroot"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_CHROOT"],"minKernel":"4.8"}},
              {"names":["s390"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["s390x"]}},
              {"names":["clone"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_SYS_CHROOT"]},
               "args":[{"index":0,"value":2114060288,"op":"SCMP_CMP_MASKED_EQ"}]}]}
            """
        let profile = try SeccompFile.parse(Array(text.utf8), path: "p", capabilities: ["CAP_SYS_CHROOT"])
        #expect(profile.syscalls.map(\.names) == [["read"], ["write"], ["chroot"]])
        #expect(profile.architectures.first == SeccompFile.machine.seccomp)
        #expect(profile.architectures.count == 2)
        let other = try SeccompFile.parse(Array(text.utf8), path: "p", capabilities: ["CAP_SYS_ADMIN"])
        #expect(other.syscalls.map(\.names) == [["read"], ["write"], ["mount"], ["clone"]])
        #expect(other.syscalls.last?.args.first?.value == 2_114_060_288)
    }

    @Test(arguments: [
        ("", "is not valid JSON"), ("{}", "field \"defaultAction\" is missing"), ("[]", "is not a JSON object"),
    ])
    func wrongProfiles(_ text: String, _ reason: String) {
        #expect(throws: UserError("--security-opt: the seccomp profile p cannot be used: \(reason).")) {
            try SeccompFile.parse(Array(text.utf8), path: "p", capabilities: [])
        }
    }
}

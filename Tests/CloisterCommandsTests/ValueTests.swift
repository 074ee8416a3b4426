import Testing

@testable import CloisterCommands
@testable import Config

@Suite struct ValueTests {
    @Test(
        arguments: [
            ("512", 512), ("0", 0), ("1k", 1024), ("1K", 1024), ("512kb", 524288), ("64m", 64 << 20),
            ("64MiB", 64 << 20),
            ("1.5g", 3 << 29), ("1G", 1 << 30), ("2t", 2 << 40), ("7b", 7),
        ] as [(String, UInt64)])
    func sizes(_ text: String, _ bytes: UInt64) throws {
        #expect(try ByteSize(argument: text).bytes == bytes)
    }

    @Test(arguments: ["", "m", "-1", "1x", "1 m", "1mm", "nan", "inf", "1e3", "0x10", "9999999t", "1..2", "１m"])
    func notSizes(_ text: String) {
        #expect(throws: InvalidValue("is not a size; write it like 512k, 64m or 1g")) { try ByteSize(argument: text) }
    }

    @Test(
        arguments: [
            ("5", 5000), ("90s", 90_000), ("1m30s", 90_000), ("1h", 3_600_000), ("500ms", 500), ("1.5", 1500),
            ("0.1ms", 1),
            ("2h3m4s", 7_384_000),
        ] as [(String, Int64)])
    func times(_ text: String, _ milliseconds: Int64) throws {
        #expect(try TimeSpan(argument: text).duration == .milliseconds(milliseconds))
    }

    @Test(arguments: ["", "s", "-5", "0", "0s", "5x", "5 s", "1m30", "m5", "1e99", "."])
    func notTimes(_ text: String) {
        #expect(throws: InvalidValue.self) { try TimeSpan(argument: text) }
    }

    @Test(
        arguments: [
            (5000, "5s"), (90_000, "1m30s"), (500, "500ms"), (1500, "1.5s"), (3_600_000, "1h"), (60_000, "1m"),
            (61_050, "1m1.05s"),
        ] as [(Int64, String)])
    func timesAreSpelled(_ milliseconds: Int64, _ expected: String) {
        #expect(Duration.milliseconds(milliseconds).spelled == expected)
    }

    @Test(
        arguments: [("1", 1000, 1), ("1.5", 1500, 2), (".25", 250, 1), ("0.01", 10, 1), ("2.0", 2000, 2)]
            as [(String, Int64, UInt32)])
    func cpus(_ text: String, _ thousandths: Int64, _ vcpus: UInt32) throws {
        let count = try CPUCount(argument: text)
        #expect(count.thousandths == thousandths)
        #expect(count.vcpus == vcpus)
    }

    @Test(arguments: ["", "0", "0.001", "-1", "two", "nan", "1e9"])
    func notCPUs(_ text: String) {
        #expect(throws: InvalidValue.self) { try CPUCount(argument: text) }
    }

    @Test(
        arguments: [
            ("nofile=1024", 1024, 1024), ("nofile=1024:4096", 1024, 4096), ("core=-1", .max, .max),
            ("core=0:-1", 0, .max),
        ] as [(String, UInt64, UInt64)])
    func ulimits(_ text: String, _ soft: UInt64, _ hard: UInt64) throws {
        let limit = try Ulimit(argument: text)
        #expect(limit.soft == soft)
        #expect(limit.hard == hard)
    }

    @Test(arguments: ["nofile", "nofile=", "nofile=a", "nofile=1:2:3", "files=1", "nofile=5:4", "nofile=-2", "=1"])
    func notUlimits(_ text: String) {
        #expect(throws: InvalidValue.self) { try Ulimit(argument: text) }
    }

    @Test(arguments: [
        ("/tmp", "/tmp", ["noexec", "nosuid", "nodev"]),
        ("/tmp:size=64m,exec", "/tmp", ["nosuid", "nodev", "size=64m", "exec"]),
        ("/a:size=1m,size=2m", "/a", ["noexec", "nosuid", "nodev", "size=2m"]),
        ("/a:rw,ro,mode=1777", "/a", ["noexec", "nosuid", "nodev", "ro", "mode=1777"]),
    ])
    func tmpfs(_ text: String, _ path: String, _ options: [String]) throws {
        let mount = try TmpfsMount(argument: text)
        #expect(mount.path == path)
        #expect(mount.options == options)
    }

    @Test(arguments: ["", "tmp", "/", "//", "/a/../..", "/a:bind", "/a:size=", "/a:upperdir=/x", "/a:size"])
    func notTmpfs(_ text: String) {
        #expect(throws: InvalidValue.self) { try TmpfsMount(argument: text) }
    }

    @Test(arguments: [
        ("no-new-privileges", SecurityOption.noNewPrivileges(true)),
        ("no-new-privileges:true", .noNewPrivileges(true)),
        ("no-new-privileges=false", .noNewPrivileges(false)),
        ("seccomp=unconfined", .seccompUnconfined),
        ("seccomp:unconfined", .seccompUnconfined),
        ("seccomp=a:b=c.json", .seccomp(path: "a:b=c.json")),
    ])
    func securityOptions(_ text: String, _ expected: SecurityOption) throws {
        #expect(try SecurityOption(argument: text) == expected)
    }

    @Test(arguments: ["", "seccomp", "seccomp=", "no-new-privileges=maybe", "label=disable"])
    func notSecurityOptions(_ text: String) {
        #expect(throws: InvalidValue.self) { try SecurityOption(argument: text) }
    }

    @Test(arguments: ["ab", "A1", "a.b-c_d", "0x"])
    func names(_ text: String) throws {
        #expect(try ContainerName(argument: text).value == text)
    }

    @Test(arguments: ["", "a", "-a", ".a", "a/b", "..", "a b", "é1", "aé", String(repeating: "a", count: 65)])
    func notNames(_ text: String) {
        #expect(throws: InvalidValue.self) { try ContainerName(argument: text) }
    }

    @Test func randomNamesAreNamesAndDiffer() throws {
        let names = Set((0..<100).map { _ in ContainerName.random() })
        #expect(names.count == 100)
        for name in names {
            #expect(name.count == 12)
            #expect(try ContainerName(argument: name).value == name)
        }
    }

    @Test(arguments: ["web", "a.b.c", "A-1", "x_y"])
    func hostnames(_ text: String) throws {
        #expect(try Hostname(argument: text).value == text)
    }

    @Test(arguments: ["", "-a", "a-", "a..b", ".", "a b", "a/b", String(repeating: "a", count: 65)])
    func notHostnames(_ text: String) {
        #expect(throws: InvalidValue.self) { try Hostname(argument: text) }
    }
}

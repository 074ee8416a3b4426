import CSystem
import Glibc
import OCISpec
import Storage
import System
import Testing

@testable import Sandbox

@Suite struct VolumeTests {
    private static func volume(
        _ source: String, _ options: [String] = ["rbind"], at destination: String = "/data", type: String? = "bind"
    ) throws(SandboxError) -> Volume {
        try Volume(
            RuntimeSpec.Mount(destination: destination, type: type, source: source, options: options), bundle: "/usr")
    }

    @Test(arguments: ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"])
    func whatIsAboutAKernelIsTheGuests(_ type: String) throws {
        #expect(try Self.volume(type, [], type: type) == .guests)
    }

    @Test(arguments: ["/proc", "/sys", "/sys/fs/cgroup", "/dev", "/dev/null", "/proc/self/mounts"])
    func soIsWhatTheHostHasOfThem(_ source: String) throws { #expect(try Self.volume(source) == .guests) }

    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let options: [String]
        let volume: ShareTree.Volume
        var kept: [String]?
    }

    static let cases = [
        Case(
            testDescription: "a directory", options: ["rbind", "rprivate", "rw"],
            volume: .init(source: "/usr/bin", recursively: true)),
        Case(
            testDescription: "not what is below", options: ["bind"],
            volume: .init(source: "/usr/bin", recursively: false)),
        Case(
            testDescription: "read-only", options: ["rbind", "ro"],
            volume: .init(source: "/usr/bin", recursively: true, readOnly: .topmost)),
        Case(
            testDescription: "all of it read-only", options: ["rbind", "rro"],
            volume: .init(source: "/usr/bin", recursively: true, readOnly: .everything)),
        Case(
            testDescription: "the guest would carry read-only on to later mounts", options: ["rbind", "rslave", "ro"],
            volume: .init(source: "/usr/bin", recursively: true, readOnly: .topmost, followsHost: true),
            kept: ["rbind", "rslave"]),
    ]

    @Test(arguments: cases) func directories(_ test: Case) throws {
        #expect(
            try Self.volume("/usr/bin", test.options) == .shared(test.volume, options: test.kept ?? test.options))
    }

    @Test func aDeviceIsADisk() throws {
        let names = try Files.list("/dev").filter { name in
            var info = stat()
            return stat("/dev/\(name)", &info) == 0 && info.st_mode & S_IFMT == S_IFBLK
        }
        guard let name = names.first else { return }
        var info = stat()
        stat("/dev/\(name)", &info)
        let number = DeviceNumber(info.st_rdev)
        #expect(
            try Self.volume("/dev/\(name)")
                == .device(
                    .init(
                        type: "b", path: "/data", major: number.major, minor: number.minor,
                        fileMode: info.st_mode & 0o7777, uid: info.st_uid, gid: info.st_gid)))
    }

    @Test func relativeToTheBundle() throws {
        #expect(
            try Self.volume("bin") == .shared(.init(source: "/usr/bin", recursively: true), options: ["rbind"]))
    }

    @Test func otherFilesystemsAreTheHosts() throws {
        #expect(
            try Self.volume("/dev/x", ["ro"], type: "ext4")
                == .mounted(HostMount(type: "ext4", source: "/dev/x", options: ["ro"])))
    }

    @Test(arguments: [
        ("/nowhere/at/all", ["rbind"], "does not exist; create it first"), ("/usr", ["rbind", "rshared"], "rslave"),
        ("/usr", ["bind", "shared"], "rslave"),
    ])
    func refusals(_ source: String, _ options: [String], _ words: String) {
        let error = #expect(throws: SandboxError.self) { try Self.volume(source, options) }
        #expect(error?.description.contains(words) == true && error?.description.contains("/data") == true)
    }

    @Test func sharedMemoryIsTheGuests() throws {
        guard
            let path = ["/dev/shm", "/run"].first(where: { path in
                var info = statfs()
                return statfs(path, &info) == 0 && info.f_type == 0x0102_1994
            })
        else { return }
        guard case .commonTmpfs(let name, let size) = try Self.volume(path, at: "/dev/shm") else {
            Issue.record("not in common")
            return
        }
        #expect(!name.isEmpty && size > 0)
    }
}

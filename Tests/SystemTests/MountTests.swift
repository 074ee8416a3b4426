import CSystem
import Glibc
import Testing

@testable import System

@Suite struct MountTableTests {
    @Test(arguments: [
        ("/plain", "/plain"), ("/with\\040blank", "/with blank"), ("/tab\\011and\\134slash", "/tab\tand\\slash"),
        ("/\\303\\274", "/ü"), ("/cut\\04", "/cut\\04"), ("/no\\x41", "/no\\x41"), ("", ""),
    ])
    func unescaped(_ text: String, _ path: String) { #expect(MountTable.unescaped(text[...]) == path) }

    @Test func seesTheRoot() throws {
        let entries = try MountTable().read()
        #expect(entries.contains { $0.path == "/" })
        #expect(Set(entries.map(\.number)).count == entries.count)
    }
}

@Suite struct MountOptionsTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let options: [String]
        var flags = UInt(0)
        var cleared = UInt(0)
        var data: [String] = []
    }

    static let cases = [
        Case(testDescription: "a bind", options: ["rbind", "ro"], flags: UInt(MS_BIND | MS_REC | MS_RDONLY)),
        Case(testDescription: "the last word counts", options: ["ro", "rw"], cleared: UInt(MS_RDONLY)),
        Case(
            testDescription: "the rest is the filesystem's", options: ["size=1m", "nosuid", "defaults", "mode=755"],
            flags: UInt(MS_NOSUID), data: ["size=1m", "mode=755"]),
    ]

    @Test(arguments: cases) func sorts(_ test: Case) {
        let options = MountOptions(test.options)
        #expect(options.flags == test.flags && options.cleared == test.cleared && options.data == test.data)
    }

    @Test func propagationAndRecursion() {
        let options = MountOptions(["rbind", "rslave", "rro", "rnosuid", "rexec"])
        #expect(options.propagation == [UInt(MS_SLAVE | MS_REC)])
        #expect(options.recursivelySet == 3 && options.recursivelyCleared == 8)
    }
}

/// Needs the right to mount; each in a namespace of a thread of its own.
@Suite(.enabled(if: geteuid() == 0)) struct MountTreeTests {
    static func inNamespace(_ body: @escaping @Sendable (String) throws -> Void) throws {
        let outcome = Guarded<Result<Void, any Error>?>(nil)
        Thread.start("mounts") {
            let result = Result {
                try syscall("unshare") { cs_unshare_mounts() }
                try Mounts.mount(nil, at: "/", type: nil, flags: UInt(MS_REC | MS_SLAVE))
                let directory = "/tmp/mounts-\(UInt64.random(in: 0 ... .max))"
                try Files.makeDirectories(directory)
                defer { try? Files.removeTree(directory) }
                try Mounts.mount("tmpfs", at: directory, type: "tmpfs")
                defer { Mounts.detachAll(at: directory) }
                try body(directory)
            }
            outcome.withLock { $0 = result }
        }
        try outcome.wait(until: { $0 })?.get()
    }

    @Test func aReadOnlyCopyOfTheTopmostMount() throws {
        try Self.inNamespace { directory in
            for name in ["source", "source/sub", "target"] { try Files.makeDirectories("\(directory)/\(name)") }
            try Mounts.mount("tmpfs", at: "\(directory)/source/sub", type: "tmpfs")
            #expect(Mounts.hasMounts(below: "\(directory)/source") && !Mounts.hasMounts(below: "\(directory)/target"))
            let tree = try MountTree(copying: "\(directory)/source", recursively: true)
            try tree.isolate()
            try tree.makeReadOnly(recursively: false)
            try tree.attach(at: "\(directory)/target")
            #expect(throws: SystemError.self) { try Files.write("\(directory)/target/file", []) }
            try Files.write("\(directory)/target/sub/file", [])
            try Files.write("\(directory)/source/file", [])
            #expect(Files.exists("\(directory)/target/file"))
            tree.detach()
            #expect(!Files.exists("\(directory)/target/sub"))
        }
    }

    @Test func aCopyThatIsLetGoIsGone() throws {
        try Self.inNamespace { directory in
            let before = try MountTable().read().count
            _ = try MountTree(copying: directory, recursively: true)
            #expect(try MountTable().read().count == before)
        }
    }

    @Test func sharedOnce() throws {
        try Self.inNamespace { directory in
            try Mounts.makeShared(directory)
            let count = try MountTable().read().count
            try Mounts.makeShared(directory)
            #expect(try MountTable().read().count == count)
            Mounts.detachAll(at: directory)
        }
    }

    @Test func relativeNamesAreOfTheDirectory() throws {
        let text = try Mounts.run(in: "/proc/self") { () throws(SystemError) in try Files.readText("comm") }
        #expect(!text.isEmpty)
        #expect(throws: SystemError.self) { try Mounts.run(in: "/nowhere") { () throws(SystemError) in } }
    }
}

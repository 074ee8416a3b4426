import System
import Testing

@testable import Storage

@Suite struct OverlayOptionsTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let options: [String]
        let directory: String?
        var data = ""
    }

    static let cases = [
        Case(
            testDescription: "a snapshotter's layers",
            options: ["index=off", "workdir=/s/9/work", "upperdir=/s/9/fs", "lowerdir=/s/2/fs:/s/1/fs"],
            directory: "/s",
            data: "index=off,workdir=/s/9/work,upperdir=/s/9/fs,lowerdir=2/fs:1/fs"),
        Case(testDescription: "one layer", options: ["lowerdir=/s/1/fs"], directory: "/s/1", data: "lowerdir=fs"),
        Case(
            testDescription: "one lies in the other's parent", options: ["lowerdir=/s/a/fs:/s/a/b/fs"],
            directory: "/s/a",
            data: "lowerdir=fs:b/fs"),
        Case(
            testDescription: "slashes more than needed", options: ["lowerdir=//s//1/fs:/s/2//fs/"], directory: "/s",
            data: "lowerdir=1/fs:2/fs"),
        Case(
            testDescription: "colons in names", options: ["lowerdir=/s\\:t/1\\:0/fs:/s\\:t/2/fs"], directory: "/s:t",
            data: "lowerdir=1\\:0/fs:2/fs"),
        Case(testDescription: "nothing in common", options: ["lowerdir=/a/fs:/b/fs"], directory: nil),
        Case(testDescription: "already relative", options: ["lowerdir=1/fs:/s/2/fs"], directory: nil),
        Case(testDescription: "no layers", options: ["ro"], directory: nil),
    ]

    @Test(arguments: cases) func shortened(_ test: Case) {
        let result = OverlayOptions.shortened(test.options)
        #expect(result?.directory == test.directory)
        #expect(result?.data ?? "" == test.data)
    }
}

@Suite struct ShareServerTests {
    @Test(arguments: [
        ("/usr/lib/qemu/virtiofsd", ShareServer.Dialect.qemu), ("/usr/libexec/virtiofsd", .rust),
        ("/opt/virtiofsd", .rust),
    ])
    func dialects(_ program: String, _ dialect: ShareServer.Dialect) {
        #expect(ShareServer.Dialect(program) == dialect)
    }

    @Test(arguments: [ShareServer.Dialect.qemu, .rust]) func bothAreShutIn(_ dialect: ShareServer.Dialect) {
        let words = ShareServer.arguments(dialect, directory: "/d", listener: 3).joined(separator: " ")
        #expect(words.contains("sandbox=namespace") && words.contains("--fd=3"))
        #expect(words.contains(dialect == .qemu ? "source=/d" : "--shared-dir=/d"))
    }
}

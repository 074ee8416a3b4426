import Glibc
import System
import Testing

@Suite struct SystemTests {
    /// As every program of ours does first: a reader that has left is an error of a write, not a signal.
    init() { signal(SIGPIPE, SIG_IGN) }

    private func temporaryDirectory() throws -> String {
        var template = Array("/tmp/cloister-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError("mkdtemp") }
        return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    @Test func anErrorNamesCallSubjectAndCause() {
        let error = #expect(throws: SystemError.self) { try FileDescriptor.open("/nonexistent/x", O_RDONLY) }
        #expect(error?.description == "open /nonexistent/x: No such file or directory")
    }

    @Test func replaceIsWholeAndLeavesNoTemporaryFile() throws {
        let directory = try temporaryDirectory()
        defer { try? Files.removeTree(directory) }
        try Files.replace("\(directory)/f", Array("old".utf8))
        try Files.replace("\(directory)/f", Array("new".utf8))
        #expect(try Files.readText("\(directory)/f") == "new")
        #expect(try Files.list(directory) == ["f"])
    }

    @Test func removingATreeDoesNotFollowLinks() throws {
        let directory = try temporaryDirectory()
        defer { try? Files.removeTree(directory) }
        try Files.makeDirectories("\(directory)/a/b")
        try Files.write("\(directory)/kept", "x")
        symlink("\(directory)/kept", "\(directory)/a/link")
        symlink(directory, "\(directory)/a/b/up")
        try Files.removeTree("\(directory)/a")
        #expect(try Files.list(directory) == ["kept"])
    }

    @Test func removingATreeTakesNamesThatAreNotText() throws {
        let directory = try temporaryDirectory()
        defer { try? Files.removeTree(directory) }
        let tree = "\(directory)/tree"
        try Files.makeDirectories(tree)
        // Latin-1's é, a byte that UTF-8 has not, and a sequence cut short.
        for bytes: [UInt8] in [[0xE9], [0x61, 0xFF, 0x62], [0xC3]] {
            let path = Array("\(tree)/".utf8) + bytes
            #expect(mkdir((path + [0]).map(CChar.init(bitPattern:)), 0o700) == 0)
            let file = creat((path + Array("/".utf8) + bytes + [0]).map(CChar.init(bitPattern:)), 0o600)
            #expect(file >= 0)
            close(file)
        }
        #expect(try Files.list(tree).count == 3)
        try Files.removeTree(tree)
        #expect(try Files.list(directory) == [])
    }

    @Test func aTreeThatCannotBeRemovedIsSaidSo() throws {
        let error = #expect(throws: SystemError.self) { try Files.removeTree("/proc/self/fdinfo") }
        #expect(error?.description.contains("/proc/self/fdinfo") == true)
        try Files.removeTree("/nonexistent/tree")
    }

    @Test func aReadBeyondTheLimitIsRefused() throws {
        let error = #expect(throws: SystemError.self) { try Files.read("/dev/zero", limit: 100_000) }
        #expect(error?.errno == EFBIG)
    }

    @Test(arguments: [("exit 3", System.ExitStatus.exited(3)), ("kill -9 $$", .signalled(9)), ("exit 0", .exited(0))])
    func aChildsEndIsReported(script: String, expected: System.ExitStatus) throws {
        #expect(try ChildProcess.spawn("/bin/sh", ["-c", script]).wait() == expected)
    }

    @Test func aProgramThatIsNotThereIsAnError() {
        #expect(throws: SystemError.self) { try ChildProcess.spawn("/nonexistent/program", []) }
    }

    @Test func aChildGetsTheDescriptorsItWasGivenAndNoOther() throws {
        let (readEnd, writeEnd) = try makePipe()
        let child = try ChildProcess.spawn("/bin/ls", ["/proc/self/fd"], descriptors: [0, writeEnd.raw, 2])
        writeEnd.close()
        let listed = String(decoding: try readEnd.readToEnd(limit: 4096), as: UTF8.self).split(separator: "\n")
        // 3 is the directory that ls reads.
        #expect(listed == ["0", "1", "2", "3"])
        #expect(child.wait() == .exited(0))
    }

    @Test func theLoopReportsAndForgets() throws {
        let loop = try EventLoop(name: "test")
        defer { loop.stop() }
        let (readEnd, writeEnd) = try makePipe()
        let seen = Guarded(0)
        let raw = readEnd.raw
        try loop.add(raw, .readable) { _ in
            var byte: UInt8 = 0
            _ = read(raw, &byte, 1)
            seen.withLock { $0 += 1 }
        }
        try writeEnd.writeAll([1, 2, 3])
        #expect(seen.wait(timeout: .seconds(10)) { $0 == 3 ? true : nil } == true)
        loop.remove(raw)
        try writeEnd.writeAll([4])
        let passed = Guarded(false)
        loop.enqueue { passed.withLock { $0 = true } }
        #expect(passed.wait(timeout: .seconds(10)) { $0 ? true : nil } == true)
        #expect(seen.withLock { $0 } == 3)
    }

    @Test func aGuardedWaitEndsWithTheTime() {
        let start = Clock.monotonic
        #expect(Guarded(0).wait(timeout: .milliseconds(30)) { $0 == 1 ? true : nil } == nil)
        #expect(Clock.monotonic - start >= .milliseconds(30))
    }

    @Test func aSocketPathTooLongIsSaidSo() {
        let error = #expect(throws: SystemError.self) {
            try UnixSocket.listen("/tmp/" + String(repeating: "x", count: 120))
        }
        #expect(error?.errno == ENAMETOOLONG)
    }
}

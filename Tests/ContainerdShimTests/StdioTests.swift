import Glibc
import Sandbox
import System
import Testing

@testable import ContainerdShim

@Suite struct LogURITests {
    @Test(
        arguments: [
            ("binary:///usr/bin/log", "/usr/bin/log", []),
            ("binary:///log?b=2&a=1&a=3&flag", "/log", ["a", "1", "b", "2", "flag"]),
            ("binary:///a%20b?k=x%2Fy+z", "/a b", ["k", "x/y z"]),
            ("binary:///odd%2?=%zz", "/odd%2", ["%zz"]),
        ] as [(String, String, [String])])
    func reads(_ uri: String, _ program: String, _ arguments: [String]) throws {
        let log = try #require(LogURI(uri))
        #expect(log.program == program)
        #expect(log.arguments == arguments)
    }

    @Test(arguments: ["", "/run/fifo", "file:///x", "inherit:6"]) func othersAreNone(_ uri: String) {
        #expect(LogURI(uri) == nil)
    }
}

/// A directory that goes with the test.
private final class Scratch {
    let path: String

    init() throws {
        path = "/tmp/cloister-stdio-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try Files.makeDirectories(path)
    }

    func fifo(_ name: String) throws -> String {
        let path = "\(self.path)/\(name)"
        try syscall("mkfifo", path) { mkfifo(path, 0o600) }
        return path
    }

    deinit { try? Files.removeTree(path) }
}

@Suite struct StdioTests {
    /// As every program of ours does first: a reader that has left is an error of a write, not a signal.
    init() { signal(SIGPIPE, SIG_IGN) }

    private func open(_ stdio: TaskStdio) throws -> OpenedStdio {
        try OpenedStdio(stdio) { uri throws(SandboxError) in
            try LogProgram(uri, container: "box", namespace: "space", host: nil)
        }
    }

    @Test func emptyIsNothing() throws {
        let opened = try open(TaskStdio())
        #expect(opened.streams.input == nil && opened.streams.output == nil && opened.streams.error == nil)
    }

    @Test func fifosWaitForNobody() throws {
        let scratch = try Scratch()
        var stdio = TaskStdio()
        stdio.input = try scratch.fifo("in")
        stdio.output = try scratch.fifo("out")
        stdio.error = try scratch.fifo("err")
        let opened = try open(stdio)
        // A reader that came and went breaks nothing.
        try FileDescriptor.open(stdio.output, O_RDONLY | O_NONBLOCK).close()
        try opened.streams.output?.writeAll(Array("kept".utf8))
        let reader = try FileDescriptor.open(stdio.output, O_RDONLY | O_NONBLOCK)
        #expect(try reader.readExactly(4).map { String(decoding: $0, as: UTF8.self) } == "kept")
    }

    /// - Returns: the relay, started, and what the engine would read.
    private func relay(_ path: String) throws -> (InputRelay, FileDescriptor) {
        var stdio = TaskStdio()
        stdio.input = path
        let opened = try open(stdio)
        let relay = try #require(opened.inputRelay)
        try relay.start()
        return (relay, try #require(opened.streams.input))
    }

    @Test func inputOutlivesItsClients() throws {
        let scratch = try Scratch()
        let path = try scratch.fifo("in")
        let (relay, input) = try relay(path)
        for letter in Array("xy".utf8) {
            let client = try FileDescriptor.open(path, O_WRONLY)
            try client.writeAll([letter])
            client.close()
            #expect(try input.readExactly(1) == [letter])
        }
        relay.close()
        #expect(try input.readExactly(1) == nil)
    }

    @Test func inputEndsWithTheLastOfClientAndCloseIO() throws {
        let scratch = try Scratch()
        let path = try scratch.fifo("in")
        let (relay, input) = try relay(path)
        let client = try FileDescriptor.open(path, O_WRONLY)
        relay.close()
        try client.writeAll(Array("late".utf8))
        client.close()
        #expect(try input.readToEnd(limit: 100) == Array("late".utf8))
    }

    @Test func nobodyMayWriteBeforeTheStart() throws {
        let scratch = try Scratch()
        let path = try scratch.fifo("in")
        var stdio = TaskStdio()
        stdio.input = path
        let opened = try open(stdio)
        let early = Glibc.open(path, O_WRONLY | O_NONBLOCK)
        #expect(early == -1 && errno == ENXIO)
        opened.inputRelay?.cancel()
        #expect(try opened.streams.input?.readExactly(1) == nil)
    }

    @Test func filesAreAppendedTo() throws {
        let scratch = try Scratch()
        var stdio = TaskStdio()
        let path = "\(scratch.path)/deep/er/log"
        stdio.output = "file://\(path)"
        stdio.error = stdio.output
        for word in ["one ", "two "] {
            let opened = try open(stdio)
            try opened.streams.output?.writeAll(Array(word.utf8))
            try opened.streams.error?.writeAll(Array("and ".utf8))
        }
        #expect(try Files.readText(path) == "one and two and ")
    }

    @Test func aTerminalHasOneOutput() throws {
        let scratch = try Scratch()
        var stdio = TaskStdio(terminal: true)
        stdio.output = try scratch.fifo("out")
        stdio.error = "/nowhere"
        #expect(try open(stdio).streams.error == nil)
    }

    @Test func logProgramsGetBothStreams() throws {
        let scratch = try Scratch()
        let program = "\(scratch.path)/log"
        let result = try scratch.fifo("result")
        try Files.write(
            program,
            """
            #!/bin/sh
            exec 5>&-
            { echo "$CONTAINER_NAMESPACE/$CONTAINER_ID $*"; cat <&3; cat <&4; } > "$2"

            """, mode: 0o700)
        do {
            var stdio = TaskStdio()
            stdio.output = "binary://\(program)?path=\(result)"
            let opened = try open(stdio)
            try opened.streams.output?.writeAll(Array("out ".utf8))
            try opened.streams.error?.writeAll(Array("err".utf8))
        }
        let text = try FileDescriptor.open(result, O_RDONLY).readToEnd(limit: 1 << 16)
        #expect(String(decoding: text, as: UTF8.self) == "space/box path \(result)\nout err")
    }

    @Test func whatCannotBeOpenedIsNamed() {
        var stdio = TaskStdio()
        stdio.output = "/nowhere/at/all"
        #expect { try open(stdio) } throws: { "\($0)".contains("/nowhere/at/all") }
        stdio.output = "binary:///nowhere/log"
        #expect { try open(stdio) } throws: { "\($0)".contains("/nowhere/log") }
    }
}

import Glibc
import OCISpec
import Sandbox
import System
import Testing

@testable import ContainerdShim

@Suite struct HooksTests {
    /// A bundle that goes with its owner.
    final class Bundle {
        let path = "/tmp/cloister-hooks-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        init() throws { try Files.makeDirectories(path) }
        deinit { try? Files.removeTree(path) }
        func text(_ name: String) throws -> String { try Files.readText("\(path)/\(name)") }
    }

    func shell(_ script: String, timeout: Int64? = nil) -> RuntimeSpec.Hook {
        RuntimeSpec.Hook(path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/usr/bin:/bin"], timeout: timeout)
    }

    func hooks(_ hooks: RuntimeSpec.Hooks, _ bundle: Bundle, host: HostView? = nil) throws -> ContainerHooks {
        let spec = RuntimeSpec(annotations: ["a": "b"], hooks: hooks)
        return try ContainerHooks(spec, id: "c1", bundle: bundle.path, host: host)
    }

    func refusal(_ body: () throws -> Void) -> String {
        do { try body() } catch { return "\(error)" }
        return "nothing was refused"
    }

    @Test func theStateIsOnStandardInput() throws {
        let bundle = try Bundle()
        let all = try hooks(
            RuntimeSpec.Hooks(
                prestart: [shell("cat > \(bundle.path)/prestart")],
                createRuntime: [shell("cat > \(bundle.path)/createRuntime"), shell("env > \(bundle.path)/env")],
                poststart: [shell("cat > \(bundle.path)/poststart")],
                poststop: [shell("cat > \(bundle.path)/poststop")]), bundle)
        for moment in ContainerHooks.Moment.allCases { try all.run(moment, pid: moment == .poststop ? nil : 42) }
        func state(_ status: String, _ pid: String) -> String {
            #"{"annotations":{"a":"b"},"bundle":"\#(bundle.path)","id":"c1","ociVersion":"1.0.2",\#(pid)"status":"\#(status)"}"#
        }
        #expect(try bundle.text("prestart") == state("creating", #""pid":42,"#))
        #expect(try bundle.text("createRuntime") == state("creating", #""pid":42,"#))
        #expect(try bundle.text("poststart") == state("running", #""pid":42,"#))
        #expect(try bundle.text("poststop") == state("stopped", ""))
        #expect(try bundle.text("env").split(separator: "\n").contains("PATH=/usr/bin:/bin"))
        #expect(try !bundle.text("env").contains("HOME="))
        // Nothing of what hooks read and wrote is left.
        #expect(try Set(Files.list(bundle.path)) == ["prestart", "createRuntime", "poststart", "poststop", "env"])
    }

    @Test func theFirstThatFailsIsTheLast() throws {
        let bundle = try Bundle()
        let all = try hooks(
            RuntimeSpec.Hooks(createRuntime: [
                shell("echo no network; echo there >&2; exit 3"), shell("touch \(bundle.path)/second"),
            ]), bundle)
        #expect(
            refusal { try all.run(.createRuntime, pid: 1) }
                == "the createRuntime hook /bin/sh ended with status 3: no network; there")
        #expect(!Files.exists("\(bundle.path)/second"))
        // Other moments are not concerned.
        try all.run(.poststop, pid: nil)
    }

    @Test func failuresAreNamed() throws {
        let bundle = try Bundle()
        #expect(
            refusal {
                try hooks(RuntimeSpec.Hooks(prestart: [shell("kill -9 $$")]), bundle).run(.prestart, pid: 1)
            } == "the prestart hook /bin/sh was ended by signal 9")
        #expect(
            refusal {
                try hooks(RuntimeSpec.Hooks(poststart: [.init(path: "/nowhere/hook")]), bundle).run(.poststart, pid: 1)
            } == "poststart hook: start /nowhere/hook: No such file or directory")
    }

    @Test func theTimeIsLimited() throws {
        let bundle = try Bundle()
        let all = try hooks(RuntimeSpec.Hooks(poststop: [shell("exec sleep 1000", timeout: 1)]), bundle)
        #expect(
            refusal { try all.run(.poststop, pid: nil) }
                == "the poststop hook /bin/sh did not end within 1 s and was killed")
    }

    /// A child that a hook leaves behind, with the hook's own output open, keeps nobody waiting.
    @Test func whatAHookLeavesBehindIsNotWaitedFor() throws {
        let bundle = try Bundle()
        let all = try hooks(
            RuntimeSpec.Hooks(prestart: [shell("sleep 1000 & echo $! > \(bundle.path)/pid")]), bundle)
        try all.run(.prestart, pid: 1)
        let text = try bundle.text("pid")
        let pid = try #require(pid_t(text.filter(\.isNumber)))
        #expect(kill(pid, SIGKILL) == 0)
        // Ours, where another test has made this process a subreaper; a child that nobody reaps would keep the tests that
        // run in processes of their own waiting.
        #expect(waitpid(pid, nil, 0) == pid || errno == ECHILD)
    }

    @Test func whatCannotBeRunIsRefused() throws {
        let bundle = try Bundle()
        for inside in [
            RuntimeSpec.Hooks(createContainer: [shell("true")]), RuntimeSpec.Hooks(startContainer: [shell("true")]),
        ] {
            #expect(
                refusal { _ = try hooks(inside, bundle) }.hasPrefix(
                    "the specification has createContainer or startContainer hooks, "))
        }
        #expect(
            refusal { _ = try hooks(RuntimeSpec.Hooks(prestart: [.init(path: "true")]), bundle) }
                == "the hook \"true\" is not an absolute path")
        #expect(
            refusal { _ = try hooks(RuntimeSpec.Hooks(poststop: [shell("true", timeout: 0)]), bundle) }
                == "the hook /bin/sh has a timeout of 0 s; it must be more than 0")
    }

    @Test(.enabled(if: geteuid() == 0))
    func hooksRunWhereTheyAreTold() throws {
        let bundle = try Bundle()
        let (reader, writer) = try makePipe()
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        let other = try ChildProcess.spawn(
            "/usr/bin/unshare", ["--mount", "--net", "/bin/sh", "-c", "echo; exec sleep 1000"],
            descriptors: [null.raw, writer.raw, null.raw])
        defer {
            other.signal(SIGKILL)
            _ = other.wait()
        }
        _ = try reader.readExactly(1)
        let script = "readlink /proc/self/ns/net /proc/self/ns/mnt > \(bundle.path)/there"
        let all = try hooks(
            RuntimeSpec.Hooks(prestart: [shell(script)]), bundle, host: try HostView(of: other.pid))
        try all.run(.prestart, pid: 1)
        func namespace(_ pid: String, _ kind: String) throws -> String {
            var buffer = [CChar](repeating: 0, count: 64)
            let path = "/proc/\(pid)/ns/\(kind)"
            let count = try syscall("readlink", path) { readlink(path, &buffer, buffer.count) }
            return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        #expect(
            try bundle.text("there")
                == "\(namespace("\(other.pid)", "net"))\n\(namespace("\(other.pid)", "mnt"))\n")
        #expect(try namespace("self", "net") != namespace("\(other.pid)", "net"))
    }

    @Test func hooksAreReadFromTheSpecification() throws {
        let text = #"""
            {"ociVersion":"1.0.2","hooks":{"createRuntime":[{"path":"/a","args":["a","b"],"env":["C=d"],"timeout":7}],
             "poststop":null}}
            """#
        let spec = try OCIJSON.decode(RuntimeSpec.self, from: Array(text.utf8))
        #expect(
            spec.hooks
                == RuntimeSpec.Hooks(createRuntime: [.init(path: "/a", args: ["a", "b"], env: ["C=d"], timeout: 7)]))
        #expect(try OCIJSON.decode(RuntimeSpec.self, from: try OCIJSON.encode(spec)) == spec)
    }
}

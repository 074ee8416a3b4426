import Config
import Glibc
import System
import Testing

@testable import CloisterCommands

@Suite struct ContainerdConfigTests {
    @Test(
        arguments: [
            ("Debian's", "# comment\nversion = 2\n\n[plugins]\n", .two), ("three", "version=3 # new\n", .three),
            ("none", "[plugins]\n  version = 2\n", nil), ("empty", "", nil), ("one", "version = 1\n", nil),
        ] as [(String, String, ContainerdConfigVersion?)])
    func aFileSaysItsVersion(_ name: String, _ text: String, _ expected: ContainerdConfigVersion?) {
        #expect(ContainerdConfigVersion(file: text) == expected)
    }

    @Test(
        arguments: [
            (nil, .two), ("1.6.20~ds1", .two), ("1.7.24", .two), ("2.0.0", .three), ("2.1.4", .three),
        ] as [(String?, ContainerdConfigVersion)])
    func containerdSaysItsOwn(_ version: String?, _ expected: ContainerdConfigVersion) {
        #expect(ContainerdConfigVersion(containerd: version) == expected)
    }

    @Test(
        arguments: [
            ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3\n", "1.6.20~ds1"),
            ("containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7\n", "2.1.4"), ("something else 1.2\n", nil),
            ("", nil), ("containerd x unknown\n", nil),
        ] as [(String, String?)])
    func versions(_ text: String, _ expected: String?) { #expect(ContainerdProgram.version(text) == expected) }

    @Test func threeLinesAreEnough() {
        let lines = ContainerdLines(name: "cloister", version: .two, versionIsThere: true, podAnnotations: [])
        #expect(
            lines.text == """
                [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.cloister]
                  runtime_type = "io.containerd.cloister.v2"
                  privileged_without_host_devices = true

                """)
    }

    @Test func whatElseIsNeededIsPrinted() {
        let lines = ContainerdLines(
            name: "vm", version: .three, versionIsThere: false, shim: "/opt/cloister/shim",
            podAnnotations: ["io.cloister.cpus", "io.cloister.memory"])
        #expect(
            lines.text == """
                version = 3

                [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.vm]
                  runtime_type = "io.containerd.cloister.v2"
                  privileged_without_host_devices = true
                  runtime_path = "/opt/cloister/shim"
                  pod_annotations = ["io.cloister.cpus", "io.cloister.memory"]

                """)
    }

    @Test func wishesAreChecked() throws {
        let command: ContainerdConfigCommand = try parse([
            "containerd", "config", "--name", "a-1", "--config-version=3",
        ])
        #expect(command.name.value == "a-1")
        #expect(command.version == .three)
        #expect(
            refusal(["containerd", "config", "--name", "A"])
                == "--name: \"A\" is not a name of lower-case letters, digits and dashes.")
        #expect(refusal(["containerd", "config", "--config-version", "1"]).hasPrefix("--config-version: \"1\" "))
        for name in ["", "-a", "a-", "a.b", "a\"]", String(repeating: "a", count: 64)] {
            #expect(refusal(["containerd", "config", "--name=\(name)"]).hasPrefix("--name: "))
        }
    }

    @Test func aFileHasOneVersion() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/config.toml"
        try Files.write(path, "version = 2\n")
        let command: ContainerdConfigCommand = try parse(
            ["containerd", "config", "--file", path, "--config-version", "3"])
        #expect(throws: UserError.self) { try command.run() }
    }
}

@Suite struct ContainerdCheckTests {
    @Test func withoutContainerdThereIsOneLine() {
        let checks = ContainerdChecks.all(Configuration(), containerd: ContainerdProgram(path: nil))
        #expect(checks == [.ok("containerd", "not installed, and only needed for the runtime class")])
    }

    @Test(arguments: [
        ("1.6.20~ds1", Check.State.ok), ("2.1.4", .ok), ("1.5.9", .warning), ("strange", .warning),
    ])
    func containerds(_ version: String, _ expected: Check.State) {
        #expect(ContainerdChecks.program("/c", version).state == expected)
    }

    @Test func theShimMustBeWhereContainerdLooks() throws {
        let directory = try TemporaryDirectory()
        #expect(ContainerdChecks.shim([directory.path]).state == .warning)
        let shim = "\(directory.path)/containerd-shim-cloister-v2"
        try Files.write(shim, "", mode: 0o755)
        #expect(ContainerdChecks.shim(["/nowhere", directory.path]) == .ok("containerd's shim", shim))
    }

    @Test func theRuntimeClassMustBeConfigured() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/config.toml"
        #expect(ContainerdChecks.runtimeClass(path).state == .warning)
        try Files.write(path, "version = 2\n# runtime_type = \"io.containerd.cloister.v2\"\n")
        #expect(ContainerdChecks.runtimeClass(path).state == .warning)
        let lines = ContainerdLines(name: "c", version: .two, versionIsThere: true, podAnnotations: [])
        try Files.write(path, "version = 2\n" + lines.text)
        #expect(ContainerdChecks.runtimeClass(path) == .ok("runtime class", "in \(path)"))
    }

    @Test func virtiofsdIsNamed() {
        var configuration = Configuration()
        configuration.virtiofsd = "/bin/sh"
        #expect(ContainerdChecks.virtiofsd(configuration) == .ok("virtiofsd", "/bin/sh"))
        configuration.virtiofsd = "/nowhere"
        #expect(ContainerdChecks.virtiofsd(configuration).state == .warning)
    }

    @Test func tapsNeedADevice() {
        #expect(ContainerdChecks.tun("/dev/null").state == .ok)
        #expect(ContainerdChecks.tun("/nowhere/tun").finding.contains("No such file or directory"))
    }

    @Test func podsWithoutABoundaryAreRefused() {
        #expect(ContainerdChecks.isolation(.auto, found: .kvm).state == .ok)
        #expect(ContainerdChecks.isolation(.emulation, found: .emulation).state == .ok)
        #expect(ContainerdChecks.isolation(.auto, found: .emulation).state == .warning)
        #expect(ContainerdChecks.isolation(.kvm, found: .emulation).state == .warning)
    }
}

import Config
import Glibc
import System
import Testing

@testable import Config

@Suite struct PodAnnotationTests {
    func configuration(_ text: String) throws -> Configuration {
        try Configuration(environment: { _ in nil }).changed(by: Array(text.utf8), path: "c.toml")
    }

    let all = "pod_annotations = ['io.cloister.memory', 'io.cloister.cpus', 'io.cloister.boot_timeout']"

    @Test func whatIsAllowedIsTaken() throws {
        let changed = try configuration(all).changed(
            byPod: [
                "io.cloister.memory": "1g", "io.cloister.cpus": "3", "io.cloister.boot_timeout": "90",
                "io.kubernetes.cri.sandbox-id": "x", "io.cloisters": "y",
            ])
        #expect(changed.memoryInBytes == 1 << 30)
        #expect(changed.cpus == 3)
        #expect(changed.bootTimeout == .seconds(90))
        #expect(changed.setByPod == ["memory", "cpus", "boot_timeout"])
    }

    @Test func nothingIsAllowedUnlessConfigured() throws {
        let expected = ConfigurationError(
            "annotation io.cloister.memory is not allowed; take it from the pod, or let the machine's administrator add "
                + "it to pod_annotations in Cloister's configuration.")
        #expect(throws: expected) { try configuration("").changed(byPod: ["io.cloister.memory": "1g"]) }
        #expect(throws: expected) {
            try configuration("pod_annotations = ['io.cloister.cpus']").changed(byPod: ["io.cloister.memory": "1g"])
        }
        #expect(try configuration("").changed(byPod: ["other": "1g"]) == configuration(""))
    }

    /// A pod names no file of the host, no kernel words, no isolation, and gives itself no permission.
    @Test func theListIsFixed() {
        #expect(PodAnnotations.allowable == ["io.cloister.memory", "io.cloister.cpus", "io.cloister.boot_timeout"])
        for key in ConfigurationKey.all where key.name == "pod_annotations" {
            for name in PodAnnotations.allowable {
                #expect(key.help.contains(name))
                #expect(key.accepts.contains("\"\(name)\""))
            }
        }
    }

    @Test(arguments: [
        "kernel", "initramfs", "state_directory", "image_directory", "virtiofsd", "accelerator", "pod_annotations",
        "command_line", "", "memory ",
    ])
    func whatCannotBeAllowed(_ key: String) throws {
        #expect {
            try configuration(all).changed(byPod: ["io.cloister.\(key)": "/x"])
        } throws: { "\($0)".hasPrefix("annotation io.cloister.\(key) is none that a pod may have; ") }
        #expect(throws: ConfigurationError.self) { try configuration("pod_annotations = ['io.cloister.\(key)']") }
    }

    @Test(arguments: [
        ("memory", "64m", "a size from \"128m\" to \"1t\""), ("memory", "", "a size from \"128m\" to \"1t\""),
        ("cpus", "0", "a whole number from 1 to 255"), ("cpus", "1.5", "a whole number from 1 to 255"),
    ])
    func valuesAreChecked(_ key: String, _ value: String, _ accepts: String) {
        #expect(throws: ConfigurationError("annotation io.cloister.\(key) must be \(accepts).")) {
            try configuration(all).changed(byPod: ["io.cloister.\(key)": value])
        }
    }

    @Test(arguments: [
        "'io.cloister.memory'", "[1]", "['memory']", "['io.cloister.*']", "[['io.cloister.memory']]", "{}",
    ])
    func theListIsAList(_ value: String) {
        #expect(throws: ConfigurationError.self) { try configuration("pod_annotations = \(value)") }
    }

    @Test func anEmptyListIsOne() throws {
        #expect(try configuration("pod_annotations = []").podAnnotations == [])
    }
}

@Suite struct RuntimeClassTests {
    func load(_ runtime: RuntimeClass, _ file: String = "") throws -> Configuration {
        let home = try TemporaryDirectory()
        let path = "\(home.path)/c.toml"
        try Files.write(path, file)
        return try Configuration.load(runtime, environment: { ["CLOISTER_CONFIG": path][$0] })
    }

    @Test func noOptionsIsTheUsualFile() throws {
        #expect(try load(RuntimeClass(), "cpus = 3").cpus == 3)
    }

    @Test func aPathReplacesTheUsualFile() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/class.toml"
        try Files.write(path, "memory = '1g'")
        let configuration = try load(RuntimeClass(configPath: path), "cpus = 3")
        #expect(configuration.cpus == 1)
        #expect(configuration.memoryInBytes == 1 << 30)
    }

    @Test func aPathMayNameTheUsualFile() throws {
        let home = try TemporaryDirectory()
        let path = "\(home.path)/c.toml"
        try Files.write(path, "state_directory = '/s'")
        let configuration = try Configuration.load(
            RuntimeClass(configPath: path), environment: { ["CLOISTER_CONFIG": path][$0] })
        #expect(configuration.stateDirectory == "/s")
    }

    @Test func optionsChangeTheUsualFile() throws {
        let body = Array("memory = '1g'\npod_annotations = ['io.cloister.cpus']".utf8)
        let configuration = try load(RuntimeClass(configBody: body), "cpus = 3")
        #expect(configuration.cpus == 3)
        #expect(configuration.memoryInBytes == 1 << 30)
        #expect(configuration.podAnnotations == ["io.cloister.cpus"])
    }

    @Test func whatIsWrongIsNamed() throws {
        func refusal(_ runtime: RuntimeClass) -> String {
            do { return "taken as \(try load(runtime))" } catch { return "\(error)" }
        }
        #expect(
            refusal(RuntimeClass(configBody: Array("SystemdCgroup = true".utf8))).hasPrefix(
                "the runtime's options, line 1: there is no key \"SystemdCgroup\"; "))
        #expect(
            refusal(RuntimeClass(configPath: "c.toml"))
                == "ConfigPath of the runtime's options is \"c.toml\"; give an absolute path.")
        #expect(
            refusal(RuntimeClass(configPath: "/nowhere/c.toml"))
                == "the configuration cannot be read: open /nowhere/c.toml: No such file or directory; mend the file "
                + "or ConfigPath of the runtime's options, which names it.")
        #expect(
            refusal(RuntimeClass(configBody: Array("state_directory = '/elsewhere'".utf8)))
                == "state_directory is set for one runtime class, but all must have the same; set it in "
                + "/etc/cloister/config.toml.")
    }
}

@Suite struct VirtiofsdTests {
    @Test func aConfiguredOneCountsAlone() throws {
        var configuration = Configuration(environment: { _ in nil })
        configuration.virtiofsd = "/bin/sh"
        #expect(try Virtiofsd.locate(configuration) == "/bin/sh")
        configuration.virtiofsd = "/nowhere"
        #expect(
            throws: ConfigurationError(
                "virtiofsd is configured as /nowhere, which cannot be executed; mend the key virtiofsd.")
        ) { try Virtiofsd.locate(configuration) }
    }
}

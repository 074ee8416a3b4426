import OCISpec
import System
import Testing

@testable import ContainerdShim

@Suite struct CommandLineTests {
    struct Line: Sendable {
        let name: String
        let words: [String]
        let check: @Sendable (ShimArguments) -> Bool
    }

    static let lines: [Line] = [
        Line(
            name: "containerd's start",
            words: [
                "-namespace", "k8s.io", "-address", "/run/c.sock", "-publish-binary", "/usr/bin/containerd", "-id", "a",
                "-debug", "start",
            ]
        ) { $0.namespace == "k8s.io" && $0.address == "/run/c.sock" && $0.id == "a" && $0.debug && $0.verb == "start" },
        Line(name: "two dashes and equals signs", words: ["--namespace=n", "--id=x=y", "--debug=false", "delete"]) {
            $0.namespace == "n" && $0.id == "x=y" && !$0.debug && $0.verb == "delete"
        },
        Line(name: "an empty value", words: ["-id", "", "start"]) { $0.id.isEmpty && $0.verb == "start" },
        Line(name: "version", words: ["-v"]) { $0.version && $0.verb.isEmpty },
        Line(name: "info", words: ["-info"]) { $0.info },
        Line(name: "a bundle", words: ["-bundle", "/b", "delete"]) { $0.bundle == "/b" && $0.verb == "delete" },
    ]

    @Test(arguments: lines.indices) func reads(_ index: Int) throws {
        let line = Self.lines[index]
        #expect(line.check(try ShimArguments(line.words)), "\(line.name)")
    }

    @Test(arguments: [["-nonsense"], ["-id"]]) func refuses(_ words: [String]) {
        #expect(throws: ShimArguments.Invalid.self) { try ShimArguments(words) }
    }

    @Test func serveTakesItsOwnWords() {
        var options = ServeOptions(id: "pod", stateDirectory: "/run/x")
        options.remove = ["/a", "/b"]
        #expect(ServeOptions(options.arguments) == options)
        for network in [PodSpec.Network.new, .namespace(path: "/run/netns/a b")] {
            options.containerd = ContainerdOptions(
                namespace: "n", events: "", bundle: "/bundle", network: network)
            #expect(ServeOptions(options.arguments) == options)
        }
        #expect(ServeOptions(["--id", "pod"]) == nil)
        #expect(ServeOptions(["--id", "pod", "--state", "relative"]) == nil)
        #expect(ServeOptions(options.arguments + ["--what", "x"]) == nil)
    }
}

@Suite struct PodSpecTests {
    private func spec(_ annotations: [String: String] = [:], _ namespaces: [RuntimeSpec.Namespace]) -> PodSpec {
        PodSpec(RuntimeSpec(annotations: annotations, linux: RuntimeSpec.Linux(namespaces: namespaces)))
    }

    @Test func groupsByAnnotation() {
        #expect(spec([:], []).group == nil)
        #expect(spec(["io.kubernetes.cri.sandbox-id": "pod"], []).group == "pod")
        #expect(spec(["io.kubernetes.cri-o.SandboxID": "pod"], []).group == "pod")
        #expect(spec(["io.kubernetes.cri.sandbox-id": ""], []).group == nil)
    }

    @Test func knowsTheNetwork() throws {
        #expect(try spec([:], [.init(type: "network")]).network() == .new)
        #expect(try spec([:], [.init(type: "network", path: "")]).network() == .new)
        #expect(try spec([:], [.init(type: "network", path: "/n")]).network() == .namespace(path: "/n"))
        #expect(throws: ShimError.self) { try spec([:], [.init(type: "pid")]).network() }
    }

    @Test func namesDirectoriesOfAnyPodAlike() {
        let long = String(repeating: "x", count: 200)
        let one = PodDirectory(base: "/run/cloister", containerd: "/run/c.sock", namespace: long, group: long)
        #expect(one.name.utf8.count == 16)
        #expect(one.name == PodDirectory(base: "/b", containerd: "/run/c.sock", namespace: long, group: long).name)
        // What ends one word does not begin the next.
        let names = [("a", "bc", "d"), ("ab", "c", "d"), ("a", "b", "cd"), ("", "abc", "d")].map {
            PodDirectory(base: "/", containerd: $0.0, namespace: $0.1, group: $0.2).name
        }
        #expect(Set(names).count == names.count)
        #expect(PodDirectory(address: one.address + "\n")?.path == one.path)
        for address in ["", "unix:///task.sock", "unix:///run/x.sock", "/run/a/task.sock"] {
            #expect(PodDirectory(address: address) == nil)
        }
    }

    @Test func digestIsSHA256() {
        #expect(PodDirectory.digest("abc").hasPrefix("ba7816bf8f01cfea414140de5dae2223"))
    }
}

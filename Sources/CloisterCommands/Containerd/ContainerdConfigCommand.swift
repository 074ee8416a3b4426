import Config
import System

/// `cloister containerd config`.
struct ContainerdConfigCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "config", abstract: "Print the lines that containerd's configuration needs for pods.",
            discussion: """

                They go to the end of /etc/containerd/config.toml; then run "systemctl restart containerd", which leaves \
                running containers alone. Only the CRI, which is Kubernetes' way, needs them: ctr and nerdctl take \
                --runtime io.containerd.cloister.v2 as they are.
                """)
    }

    @Option("name", value: "NAME", help: "What Kubernetes calls it: the handler of its RuntimeClass.")
    var name: RuntimeClassName = .standard
    @Option(
        "config-version", value: "2|3",
        help: "The version of the file: 2 for containerd 1.6 and 1.7, 3 for 2.x; by default what the file there says.")
    var version: ContainerdConfigVersion?
    @Option("file", value: "FILE", help: "The file the lines are for; it is read, and not changed.")
    var file: String = ContainerdProgram.configurationPath

    func run() throws {
        let configuration = try Configuration.load()
        let existing = (try? Files.readText(file)) ?? ""
        let found = ContainerdConfigVersion(file: existing)
        let version = version ?? found ?? ContainerdConfigVersion(containerd: ContainerdProgram().version)
        if let found, found != version {
            throw UserError(
                "\(file) has version = \(found.rawValue), and one file has one version; leave --config-version out.")
        }
        var shim: String?
        if ContainerdProgram.shim() == nil { shim = try Installation.Part.server.locate(configuration) }
        Output.standard(
            ContainerdLines(
                name: name.value, version: version, versionIsThere: found != nil, shim: shim,
                podAnnotations: configuration.podAnnotations
            ).text)
    }
}

/// The name of a runtime class.
struct RuntimeClassName: ArgumentValue {
    let value: String

    static let standard = RuntimeClassName(value: "cloister")

    private init(value: String) { self.value = value }

    /// A Kubernetes handler is a DNS label (RFC 1123).
    init(argument: String) throws(InvalidValue) {
        let isLabel =
            (1...63).contains(argument.utf8.count)
            && argument.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber || $0 == "-") }
            && argument.first != "-" && argument.last != "-"
        guard isLabel else { throw InvalidValue("is not a name of lower-case letters, digits and dashes") }
        value = argument
    }
}

/// The version of containerd's configuration file.
enum ContainerdConfigVersion: String, CaseIterable, ArgumentValue {
    case two = "2"
    case three = "3"

    /// What a file says: `version = N`, before any table. nil when it does not.
    init?(file: String) {
        for line in file.split(separator: "\n") {
            let line = line.filter { !$0.isWhitespace }
            if line.hasPrefix("[") { return nil }
            guard line.hasPrefix("version=") else { continue }
            let value = line.dropFirst("version=".count).prefix { $0.isNumber }
            self.init(rawValue: String(value))
            return
        }
        return nil
    }

    /// - Parameter containerd: its version.
    init(containerd version: String?) {
        let major = version?.prefix { $0.isNumber }
        self = (major.flatMap { Int($0) } ?? 1) >= 2 ? .three : .two
    }

    var table: String {
        switch self {
        case .two: "io.containerd.grpc.v1.cri"
        case .three: "io.containerd.cri.v1.runtime"
        }
    }
}

/// What is printed.
struct ContainerdLines {
    var name: String
    var version: ContainerdConfigVersion
    var versionIsThere: Bool
    /// Where the shim is, if containerd does not find it.
    var shim: String?
    var podAnnotations: [String]

    var text: String {
        var lines = versionIsThere ? [] : ["version = \(version.rawValue)", ""]
        lines += [
            "[plugins.\"\(version.table)\".containerd.runtimes.\(name)]",
            "  runtime_type = \"\(ContainerdProgram.runtimeType)\"",
            "  privileged_without_host_devices = true",
        ]
        if let shim { lines.append("  runtime_path = \"\(shim)\"") }
        if !podAnnotations.isEmpty {
            lines.append("  pod_annotations = [\(podAnnotations.map { "\"\($0)\"" }.joined(separator: ", "))]")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

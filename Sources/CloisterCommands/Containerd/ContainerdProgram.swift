import Glibc
import System

/// The containerd of this machine, and where it looks for runtimes.
struct ContainerdProgram {
    static let configurationPath = "/etc/containerd/config.toml"
    static let runtimeType = "io.containerd.cloister.v2"
    /// What `runtimeType` makes containerd look for.
    static let shimName = "containerd-shim-cloister-v2"
    /// The PATH that systemd gives its services, which is containerd's, and the older directories those stand for.
    static let searchPath = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    let path: String?

    init(path: String? = Programs.find("containerd")) { self.path = path }

    /// e.g. `1.6.20~ds1`; nil when it does not run.
    var version: String? {
        guard let path, let text = try? Programs.output(path, ["--version"]) else { return nil }
        return Self.version(text)
    }

    /// `containerd PACKAGE VERSION REVISION`, a leading `v` left out.
    static func version(_ text: String) -> String? {
        let words = text.split { $0 == " " || $0 == "\n" }
        guard words.count >= 3, words[0] == "containerd" else { return nil }
        let version = words[2].first == "v" ? words[2].dropFirst() : words[2]
        return version.first?.isNumber == true ? String(version) : nil
    }

    /// Where containerd finds the shim by its runtime type; nil when it does not.
    static func shim(_ directories: [String] = searchPath) -> String? {
        directories.map { "\($0)/\(shimName)" }.first { access($0, X_OK) == 0 }
    }
}

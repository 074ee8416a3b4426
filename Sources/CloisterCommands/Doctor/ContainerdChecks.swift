import Acceleration
import Config
import Glibc
import System

/// What containerd's runtime class needs beside what every sandbox does. None of it is missing in the sense that no sandbox
/// can run.
enum ContainerdChecks {
    /// One line where there is no containerd, since nothing else matters then.
    static func all(_ configuration: Configuration, containerd: ContainerdProgram = ContainerdProgram()) -> [Check] {
        guard let path = containerd.path else {
            return [.ok("containerd", "not installed, and only needed for the runtime class")]
        }
        return [
            program(path, containerd.version), shim(), runtimeClass(), virtiofsd(configuration), tun(),
            isolation(configuration.accelerator),
        ]
    }

    static let oldest = (major: 1, minor: 6)

    static func program(_ path: String, _ version: String?) -> Check {
        guard let version else {
            return .warning("containerd", "\(path) does not tell its version", "run \"\(path) --version\" to see why")
        }
        let numbers = version.split { !$0.isASCII || !$0.isNumber }.compactMap { Int($0) }
        guard numbers.count >= 2, (numbers[0], numbers[1]) >= oldest else {
            return .warning("containerd", "\(path), version \(version)", "1.6 is the oldest that will do: upgrade it")
        }
        return .ok("containerd", "\(path), version \(version)")
    }

    static func shim(_ directories: [String] = ContainerdProgram.searchPath) -> Check {
        if let path = ContainerdProgram.shim(directories) { return .ok("containerd's shim", path) }
        return .warning(
            "containerd's shim", "\(ContainerdProgram.shimName) is not where containerd looks",
            "run \"make install\"; \"cloister containerd config\" names it by its path meanwhile")
    }

    static func runtimeClass(_ path: String = ContainerdProgram.configurationPath) -> Check {
        let name = "runtime class"
        let text = (try? Files.readText(path)) ?? ""
        let lines = text.split(separator: "\n").filter { $0.drop { $0.isWhitespace }.first != "#" }
        if lines.contains(where: { $0.contains("\"\(ContainerdProgram.runtimeType)\"") }) {
            return .ok(name, "in \(path)")
        }
        return .warning(
            name, "not in \(path), so Kubernetes cannot use it; ctr and nerdctl can",
            "add what \"cloister containerd config\" prints")
    }

    static func virtiofsd(_ configuration: Configuration) -> Check {
        do throws(ConfigurationError) { return .ok("virtiofsd", try Virtiofsd.locate(configuration)) } catch {
            return .warning("virtiofsd", "none that could be used", error.description)
        }
    }

    /// tap devices join a pod's network to its guest.
    static func tun(_ path: String = "/dev/net/tun") -> Check {
        if access(path, R_OK | W_OK) == 0 { return .ok(path, "there, for the pods' network") }
        let code = errno
        return .warning(
            path, "\(String(cString: strerror(code))); pods have no network without it",
            code == ENOENT ? "load the module with \"sudo modprobe tun\"" : "containerd must run as root")
    }

    /// Pods are never run without a boundary that nobody asked to do without.
    static func isolation(
        _ wish: Config.Accelerator, found: Acceleration.Accelerator = AcceleratorChoice.auto.resolve().accelerator
    ) -> Check {
        let name = "containerd's pods"
        switch (wish, found) {
        case (.emulation, _): return .ok(name, "run under emulation, as configured; it is no security boundary")
        case (_, .kvm): return .ok(name, "run under KVM")
        case (_, .emulation):
            return .warning(
                name, "are refused: KVM does not work here",
                "mend KVM, or set accelerator = \"emulation\" in the configuration, which is no security boundary")
        }
    }
}

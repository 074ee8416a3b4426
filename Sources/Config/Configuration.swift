import Glibc
import System
import TOML

/// What the configuration file says; every key has a default, so that no file is the normal case.
public struct Configuration: Equatable, Sendable {
    public var accelerator = Accelerator.auto
    /// Of a virtual machine whose container has no limit of its own.
    public var memoryInBytes: UInt64 = 512 << 20
    /// Of a virtual machine whose container has no limit of its own.
    public var cpus: UInt32 = 1
    /// How long a guest has to report in.
    public var bootTimeout = Duration.seconds(30)
    /// nil: the one of the installation.
    public var kernel: String?
    /// nil: the one of the installation.
    public var initramfs: String?
    /// Holds a directory for each sandbox.
    public var stateDirectory: String
    /// nil: the image store's own choice.
    public var imageDirectory: String?
    /// What the image store may take when more is brought in; nil for no limit.
    public var imageStoreLimitInBytes: Int64?
    /// The registry of names that name none; nil for Docker's.
    public var defaultRegistry: String?
    /// Whole names by the short ones that stand for them.
    public var aliases: [String: String] = [:]
    /// nil: the one found where distributions put it.
    public var virtiofsd: String?
    /// Those of `PodAnnotations.allowable` that pods may have.
    public var podAnnotations: [String] = []
    /// Keys that a pod's annotations have set, which come before its limits.
    public internal(set) var setByPod: Set<String> = []
    /// Where keys were set, as `FILE, line N`; for values that only their user can judge.
    public internal(set) var places: [String: String] = [:]

    static let longestFileInBytes = 1 << 20

    /// A guest's memory and vCPUs that a file may ask for.
    static let memoryBounds = (least: UInt64(128) << 20, most: UInt64(1) << 40)
    static let cpuBounds = (least: 1, most: 255)

    /// The defaults. - Parameter environment: gives this process's variables.
    public init(environment: (String) -> String? = Configuration.ownEnvironment) {
        stateDirectory = StateDirectoryPath.standard(user: geteuid(), environment: environment)
    }

    public static func ownEnvironment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// The file that holds, whether it exists or not: `$CLOISTER_CONFIG`; else `/etc/cloister/config.toml` for root;
    /// else `$XDG_CONFIG_HOME/cloister/config.toml`, where that is `~/.config` unless set. nil without a home.
    public static func path(user: uid_t = geteuid(), environment: (String) -> String? = ownEnvironment) -> String? {
        if let path = environment("CLOISTER_CONFIG"), !path.isEmpty { return path }
        if user == 0 { return "/etc/cloister/config.toml" }
        if let home = environment("XDG_CONFIG_HOME"), home.hasPrefix("/") { return home + "/cloister/config.toml" }
        if let home = environment("HOME"), home.hasPrefix("/") { return home + "/.config/cloister/config.toml" }
        return nil
    }

    /// The defaults, changed by the file where there is one.
    /// - Throws: `ConfigurationError` that names the file, the line and the key.
    public static func load(
        environment: (String) -> String? = Configuration.ownEnvironment
    ) throws(ConfigurationError) -> Configuration {
        let defaults = Configuration(environment: environment)
        guard let path = path(environment: environment) else { return defaults }
        let bytes: [UInt8]
        do { bytes = try Files.read(path, limit: longestFileInBytes) } catch {
            let asked = environment("CLOISTER_CONFIG")?.isEmpty == false
            if error.errno == ENOENT && !asked { return defaults }
            throw ConfigurationError(
                "the configuration cannot be read: \(error); mend the file"
                    + (asked ? " or CLOISTER_CONFIG, which names it." : " or remove it: every key has a default."))
        }
        return try defaults.changed(by: bytes, path: path)
    }

    /// - Parameter path: named in errors.
    func changed(by bytes: [UInt8], path: String) throws(ConfigurationError) -> Configuration {
        let document: TOMLDocument
        do throws(TOMLDocument.ParseError) { document = try TOMLDocument(bytes) } catch {
            throw ConfigurationError("\(path), line \(error.line): this is not TOML: \(error.reason).")
        }
        var result = self
        for entry in document.entries.sorted(by: { $0.line < $1.line }) {
            guard let (key, inner) = ConfigurationKey.find(entry) else {
                let names = ConfigurationKey.all.map(\.name)
                let hint =
                    Suggestion.nearest(to: entry.key, among: names).map { "did you mean \($0)?" }
                    ?? "there are \(names.joined(separator: ", "))."
                throw ConfigurationError("\(path), line \(entry.line): there is no key \"\(entry.key)\"; \(hint)")
            }
            let place = "\(path), line \(entry.line)"
            guard inner.map({ key.applyInner($0, entry.value, &result) }) ?? key.apply(entry.value, &result) else {
                throw ConfigurationError(
                    "\(place): \(entry.key) must be \(inner == nil ? key.accepts : key.acceptsInner).")
            }
            result.places[entry.key] = place
        }
        return result
    }
}

/// A configuration file that cannot be used: one sentence with the remedy.
public struct ConfigurationError: Error, CustomStringConvertible, Equatable, Sendable {
    public let description: String
    public init(_ description: String) { self.description = description }
}

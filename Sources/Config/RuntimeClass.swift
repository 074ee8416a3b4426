import Glibc
import System

/// What containerd's configuration says of one runtime class, handed on with every call that creates a task.
public struct RuntimeClass: Equatable, Sendable {
    /// `ConfigPath` of the class's options: a file that is read in place of the usual one. Empty for none.
    public var configPath: String
    /// The options themselves, as TOML; they change what the file says. Only containerd 1.7 and later pass them.
    public var configBody: [UInt8]

    public init(configPath: String = "", configBody: [UInt8] = []) {
        self.configPath = configPath
        self.configBody = configBody
    }
}

extension Configuration {
    /// The configuration of a runtime class: the defaults, changed by its file, or else the usual one, changed by its options.
    /// - Throws: `ConfigurationError`, also where it sets a `state_directory` of its own: all classes of a machine have that in
    ///   common, since containerd gives no options to those that look for a sandbox.
    public static func load(
        _ runtime: RuntimeClass, environment: (String) -> String? = Configuration.ownEnvironment
    ) throws(ConfigurationError) -> Configuration {
        let usual: Configuration
        var result: Configuration
        if runtime.configPath.isEmpty {
            usual = try load(environment: environment)
            result = usual
        } else {
            let path = runtime.configPath
            guard path.hasPrefix("/") else {
                throw ConfigurationError("ConfigPath of the runtime's options is \"\(path)\"; give an absolute path.")
            }
            usual = Configuration(environment: environment)
            let bytes: [UInt8]
            do { bytes = try Files.read(path, limit: longestFileInBytes) } catch {
                throw ConfigurationError(
                    "the configuration cannot be read: \(error); mend the file or ConfigPath of the runtime's options, "
                        + "which names it.")
            }
            result = try usual.changed(by: bytes, path: path)
        }
        if !runtime.configBody.isEmpty {
            result = try result.changed(by: runtime.configBody, path: "the runtime's options")
        }
        // A class may name the usual file.
        guard
            result.stateDirectory == usual.stateDirectory
                || result.stateDirectory == (try? load(environment: environment))?.stateDirectory
        else {
            throw ConfigurationError(
                "state_directory is set for one runtime class, but all must have the same; set it in "
                    + "/etc/cloister/config.toml.")
        }
        return result
    }
}

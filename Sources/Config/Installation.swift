import Glibc
import System

/// Where the parts of Cloister are, found from the running executable: beside it, as `make build` leaves them, or in
/// `../lib/cloister`, as `make install` puts them.
public struct Installation: Equatable, Sendable {
    /// Of all its programs, by semantic versioning.
    public static let version = "0.1.0"

    /// The sandbox's own process.
    public var server: String
    public var kernel: String
    public var initramfs: String

    static let serverName = "containerd-shim-cloister-v2"
    static let kernelName = "vmlinux"
    static let initramfsName = "initramfs"

    /// - Parameters:
    ///   - configuration: may name another kernel and initramfs.
    ///   - kernel: comes before the configuration's.
    /// - Throws: `ConfigurationError` that says what is missing and where it was looked for.
    public static func locate(
        _ configuration: Configuration, kernel: String? = nil
    ) throws(ConfigurationError) -> Installation {
        let directory = try executableDirectory()
        return Installation(
            server: try find(serverName, from: directory, given: nil, executable: true),
            kernel: try find(kernelName, from: directory, given: kernel ?? configuration.kernel),
            initramfs: try find(initramfsName, from: directory, given: configuration.initramfs))
    }

    /// One part by itself, for a list of what is there.
    public enum Part: String, CaseIterable, Sendable {
        case server, kernel, initramfs

        public func locate(_ configuration: Configuration) throws(ConfigurationError) -> String {
            let directory = try executableDirectory()
            switch self {
            case .server: return try find(serverName, from: directory, given: nil, executable: true)
            case .kernel: return try find(kernelName, from: directory, given: configuration.kernel)
            case .initramfs: return try find(initramfsName, from: directory, given: configuration.initramfs)
            }
        }
    }

    static func executableDirectory() throws(ConfigurationError) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0 else {
            throw ConfigurationError(
                "the running program cannot be found: \(SystemError("readlink", "/proc/self/exe")); "
                    + "is /proc mounted?")
        }
        return Files.parent(of: String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    /// - Parameter given: a path of the user's own, which alone counts then.
    static func find(
        _ name: String, from directory: String, given: String?, executable: Bool = false
    ) throws(ConfigurationError) -> String {
        let candidates =
            given.map { [$0] } ?? ["\(directory)/\(name)", "\(Files.parent(of: directory))/lib/cloister/\(name)"]
        for path in candidates where access(path, executable ? R_OK | X_OK : R_OK) == 0 {
            // Whole, since others than this process open it.
            guard let real = realpath(path, nil) else { throw ConfigurationError("\(SystemError("open", path)).") }
            defer { free(real) }
            return String(cString: real)
        }
        if given != nil {
            throw ConfigurationError(
                "\(SystemError("open", candidates[0])); give a file that is there and can be read.")
        }
        throw ConfigurationError(
            "\(name) is neither at \(candidates.joined(separator: " nor at ")); \"make build\" in Cloister's source "
                + "makes it."
        )
    }
}

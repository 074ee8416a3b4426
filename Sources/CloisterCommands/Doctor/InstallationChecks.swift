import Config
import System

/// Cloister's own parts.
enum InstallationChecks {
    static func server(_ configuration: Configuration) -> Check {
        part(.server, "sandbox server", configuration) { _ in }
    }

    static func kernel(_ configuration: Configuration) -> Check {
        part(.kernel, "guest kernel", configuration) { path throws(ConfigurationError) in try KernelFile.validate(path)
        }
    }

    static func initramfs(_ configuration: Configuration) -> Check {
        part(.initramfs, "guest initramfs", configuration) { path throws(ConfigurationError) in try validate(path) }
    }

    private static func part(
        _ part: Installation.Part, _ name: String, _ configuration: Configuration,
        _ validate: (String) throws(ConfigurationError) -> Void
    ) -> Check {
        do throws(ConfigurationError) {
            let path = try part.locate(configuration)
            try validate(path)
            return .ok(name, path)
        } catch {
            return .missing(name, error.description, "see \"make build\" and the configuration")
        }
    }

    /// What begins a cpio archive (newc) and what the kernel decompresses.
    private static let magics: [[UInt8]] = [
        Array("07070".utf8), [0x1f, 0x8b], [0x28, 0xb5, 0x2f, 0xfd], [0xfd, 0x37, 0x7a, 0x58, 0x5a],
    ]

    private static func validate(_ path: String) throws(ConfigurationError) {
        do {
            let file = try FileDescriptor.open(path, 0)
            let head = try file.readExactly(6) ?? []
            if magics.contains(where: { head.starts(with: $0) }) { return }
        } catch { throw ConfigurationError("the initramfs cannot be read: \(error)") }
        throw ConfigurationError("\(path) is not an initramfs")
    }
}

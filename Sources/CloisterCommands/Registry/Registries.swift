import Config
import Registry

/// How commands reach registries.
enum Registries {
    static func options(plain: Bool = false) -> RegistryOptions {
        var options = RegistryOptions()
        options.hostDirectories = RegistryOptions.hostDirectories()
        options.credentials = CredentialFile.standard()
        options.plain = plain
        options.userAgent = "cloister/\(Installation.version)"
        options.note = { Output.error("cloister: \($0)\n") }
        return options
    }
}

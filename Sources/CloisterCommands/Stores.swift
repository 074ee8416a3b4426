import Config
import ImageStore

/// The stores that commands work on.
enum Stores {
    /// The image store: `$CLOISTER_DATA`, else the configuration's, else the standard one.
    static func images(_ configuration: Configuration) throws -> ImageStore {
        try ImageStore(
            location(configuration), names: names(configuration), limitInBytes: configuration.imageStoreLimitInBytes
        ) {
            Output.error("cloister: \($0)\n")
        }
    }

    /// How names are read. - Throws: `ConfigurationError` that names the file, the line and the key.
    static func names(_ configuration: Configuration) throws(ConfigurationError) -> NameRules {
        do throws(NameRules.Mistake) {
            return try NameRules(defaultRegistry: configuration.defaultRegistry, aliases: configuration.aliases)
        } catch {
            let place = configuration.places[error.key].map { $0 + ": " } ?? ""
            throw ConfigurationError("\(place)\(error).")
        }
    }

    static func location(_ configuration: Configuration) throws -> StoreLocation {
        let set = Configuration.ownEnvironment("CLOISTER_DATA").map { !$0.isEmpty } ?? false
        if !set, let directory = configuration.imageDirectory { return StoreLocation(root: directory) }
        return try StoreLocation.standard()
    }
}

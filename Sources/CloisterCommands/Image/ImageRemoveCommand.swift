import Config
import ImageStore

/// `cloister image remove`, and `cloister rmi`.
struct ImageRemoveCommand<Spelling: CommandSpelling>: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            Spelling.name, aliases: Spelling.aliases,
            abstract: "Remove images, and the layers that no other image has.")
    }

    @Flag("f", "force", help: "Do not fail for images that are not there.") var force
    @Argument("IMAGE", required: true, help: "Names or ids of images.") var images: [String]

    func run() throws {
        let store = try Stores.images(try Configuration.load())
        var failed = false
        // One that cannot be removed does not keep the others.
        for image in images {
            do {
                if force, !(try store.isThere(image)) { continue }
                for name in try store.remove(image) {
                    Output.standard("Removed: \(store.names.shown(name))\n")
                }
            } catch {
                _ = CloisterCommandLine.report(error)
                failed = true
            }
        }
        if failed { throw ExitCode.failure }
    }
}

enum ImageRemoveSpelling: CommandSpelling {
    static let name = "remove"
    static let aliases = ["rm"]
}

enum RmiSpelling: CommandSpelling {
    static let name = "rmi"
    static let aliases: [String] = []
}

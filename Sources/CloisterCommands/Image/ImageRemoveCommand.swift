import Config
import ImageStore

/// `cloister image remove`.
struct ImageRemoveCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "remove", aliases: ["rm"], abstract: "Remove images, and the layers that no other image has.")
    }

    @Argument("IMAGE", required: true, help: "Names or ids of images.") var images: [String]

    func run() throws {
        let store = try Stores.images(try Configuration.load())
        var failed = false
        // One that cannot be removed does not keep the others.
        for image in images {
            do {
                for name in try store.remove(image) {
                    Output.standard("Removed: \((try? ImageReference(name))?.familiar ?? name)\n")
                }
            } catch {
                _ = CloisterCommandLine.report(error)
                failed = true
            }
        }
        if failed { throw ExitCode.failure }
    }
}

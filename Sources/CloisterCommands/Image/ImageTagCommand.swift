import Config
import ImageStore

/// `cloister image tag`.
struct ImageTagCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration("tag", abstract: "Give an image one name more.")
    }

    @Argument("SOURCE", help: "The image: a name or id.") var source: String
    @Argument("TARGET", help: "Its new name, which moves here from an image that has it.") var target: String

    func run() throws { try Stores.images(try Configuration.load()).tag(source, as: target) }
}

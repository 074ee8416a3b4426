import Config
import ImageStore

/// `cloister image push`, and `cloister push`.
struct ImagePushCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "push", abstract: "Store an image in a registry.",
            discussion: """

                The image goes as it came, so its digest stays what it was. Layers that the registry has are not sent again.
                """)
    }

    @Flag("q", "quiet", help: "Print the digest alone.") var quiet
    @Option("progress", value: "auto|bars|plain|json|none", help: "How to show what goes, on standard error.")
    var progress: ProgressStyle = .auto
    @Flag("plain-http", help: "Speak to the registry without TLS, which anybody on the way can read and change.")
    var plain
    @Argument("IMAGE", help: "The name or id of an image.") var image: String
    @Argument("TARGET", help: "The name to store it by; its own when left out.") var target: [String]

    func validate() throws {
        if target.count > 1 { throw UserError("cloister image push takes one TARGET.") }
    }

    func run() throws {
        let store = try Stores.images(try Configuration.load())
        let known = try store.resolve(image)
        guard let target = try target.first.map({ try store.names.reference($0) }) ?? known.reference else {
            throw UserError("the image has no name to store it by; give one as TARGET.")
        }
        let shown = PullProgress(quiet ? .none : progress)
        var options = ImageStore.PushOptions()
        options.registry = Registries.options(plain: plain)
        options.registry.note = { shown.note($0) }
        options.progress = { shown.take($0) }
        defer { shown.end() }
        let digest = try store.push(image, to: target, options)
        Output.standard(quiet ? "\(digest)\n" : "\(store.names.shown(target)): pushed, \(digest)\n")
    }
}

import Config
import ImageStore
import Registry

/// `cloister image pull`, and `cloister pull`.
struct ImagePullCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "pull", abstract: "Bring in images from their registries.",
            discussion: """

                What is here already is not fetched again; what was interrupted goes on where it stopped. Names mean what \
                they mean in Docker: without a registry it is docker.io, or what the configuration says, without a tag latest.
                """)
    }

    @Flag("q", "quiet", help: "Print the image's name alone.") var quiet
    @Option("progress", value: "auto|bars|plain|json|none", help: "How to show what comes, on standard error.")
    var progress: ProgressStyle = .auto
    @Option("parallel", value: "NUMBER", help: "Fetch so many layers at once.") var parallel: Int64?
    @Flag("plain-http", help: "Speak to the registry without TLS, which anybody on the way can read and change.")
    var plain
    @Option(
        "platform", value: "OS/ARCHITECTURE",
        help: "Bring in the image for this platform, like linux/arm/v7, and not this machine's."
    )
    var platform: PlatformArgument?
    @Argument("IMAGE", required: true, help: "Names of images.") var images: [String]

    func validate() throws {
        if let parallel, !(1...64).contains(parallel) { throw UserError("--parallel: it must be from 1 to 64.") }
    }

    func run() throws {
        let store = try Stores.images(try Configuration.load())
        for image in images {
            let reference = try store.names.reference(image)
            var options = ImageStore.PullOptions()
            options.platform = platform?.platform
            options.parallel = parallel.map { Int($0) } ?? options.parallel
            let pulled = try Pulls.pull(reference, store, options, quiet ? .none : progress, plain: plain)
            if quiet {
                Output.standard("\(reference.description)\n")
            } else {
                Output.standard(
                    "\(store.names.shown(reference)): \(pulled.wasThere ? "up to date" : "pulled"), \(pulled.digest)\n")
            }
        }
    }
}

/// A pull as commands make it.
enum Pulls {
    static func pull(
        _ reference: ImageReference, _ store: ImageStore, _ options: ImageStore.PullOptions, _ style: ProgressStyle,
        plain: Bool
    ) throws -> ImageStore.Pulled {
        try watched(style, options, plain: plain) { try store.pull(reference, $0) }
    }

    /// Gives options that reach registries as all commands do, and show what comes.
    static func watched<T>(
        _ style: ProgressStyle, _ options: ImageStore.PullOptions = ImageStore.PullOptions(), plain: Bool = false,
        _ body: (ImageStore.PullOptions) throws -> T
    ) rethrows -> T {
        let progress = PullProgress(style)
        var options = options
        options.registry = Registries.options(plain: plain)
        options.registry.note = { progress.note($0) }
        options.progress = { progress.take($0) }
        defer { progress.end() }
        return try body(options)
    }
}

import Config
import Glibc
import ImageStore

/// What a command is called in the place where it is, for those that are in two.
protocol CommandSpelling {
    static var name: String { get }
    static var aliases: [String] { get }
}

/// `cloister image list`, and `cloister images`.
struct ImageListCommand<Spelling: CommandSpelling>: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(Spelling.name, aliases: Spelling.aliases, abstract: "List images.")
    }

    @Flag(
        "a", "all", help: "Change nothing: Docker hides what it builds on the way, and there is nothing of that here.")
    var all
    @Option(
        "f", "filter", value: "KEY=VALUE",
        help:
            "List those alone: reference=PATTERN, dangling=true, before=IMAGE, since=IMAGE, until=24h, label=KEY[=VALUE]."
    )
    var filters: [ImageFilter]
    @Option("format", value: "FORMAT", help: ListFormat.help)
    var format: ListFormat = .table
    @Flag("q", "quiet", help: "Print ids alone.") var quiet
    @Flag("no-trunc", help: "Do not shorten ids.") var noTrunc
    @Flag("digests", help: "Show the digests of manifests, too.") var digests
    @Argument("NAME", help: "List those alone whose name, with its tag or without, matches this pattern.")
    var names: [String]

    func run() throws {
        let store = try Stores.images(try Configuration.load())
        let now = Double(time(nil))
        let wanted = try ImageFilter.condition(filters + names.map { ImageFilter(reference: $0) }, store, now: now)
        let rows = try store.list().filter(wanted).map(ImageRow.init)
        let listing = ImageRow.listing(now: Int64(now), digests: digests, noTrunc: noTrunc)
        Output.standard(try listing.render(rows, format, quiet: quiet))
    }
}

enum ImageListSpelling: CommandSpelling {
    static let name = "list"
    static let aliases = ["ls"]
}

enum ImagesSpelling: CommandSpelling {
    static let name = "images"
    static let aliases: [String] = []
}

import Config
import Glibc
import ImageStore
import OCISpec

/// `cloister image inspect`.
struct ImageInspectCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration("inspect", abstract: "Show what an image is made of and how it is run.")
    }

    @Option(
        "format",
        value: "FORMAT",
        help: """
            Print a table, which is the default, JSON, or what a Go template makes of each image, e.g. "{{.Id}}" or \
            "{{json .Config.Env}}"; "{{json .}}" shows all that there is for templates.
            """)
    var format: ListFormat = .table
    @Argument("IMAGE", required: true, help: "Names or ids of images.") var images: [String]

    private struct Details: Encodable {
        struct Layer: Encodable {
            var digest: String
            var diffID: String
            var mediaType: String
            var size: Int64
        }

        var image: ImageRow
        var layers: [Layer]
        var config: ImageConfig
    }

    private struct Fact: Encodable {
        var name: String
        var value: String
    }

    func validate() throws {
        if case .tableTemplate = format { throw UserError("--format: image inspect makes no tables of templates.") }
    }

    func run() throws {
        let store = try Stores.images(try Configuration.load())
        if case .template(let template) = format {
            return Output.standard(
                try images.map { try template.render(ImageDocument.make(try store.resolve($0), store)) + "\n" }.joined()
            )
        }
        let details = try images.map { name in
            let image = try store.resolve(name)
            return Details(
                image: ImageRow(image),
                layers: image.layers.map {
                    Details.Layer(
                        digest: $0.digest.description, diffID: $0.diffID.description, mediaType: $0.mediaType,
                        size: $0.size)
                }, config: image.config)
        }
        guard format == .table else { return Output.standard(try JSONText.of(details, pretty: true) + "\n") }
        let listing = Listing<Fact>(fields: [.init("Field") { $0.name }, .init("Value") { $0.value }], id: { $0.name })
        Output.standard(try details.map { try listing.render(Self.facts($0), .table) }.joined(separator: "\n"))
    }

    private static func facts(_ details: Details) -> [Fact] {
        let execution = details.config.config ?? ImageConfig.Execution()
        let all: [(String, [String])] = [
            ("name", [details.image.name ?? "<none>"]), ("id", [details.image.id]), ("digest", [details.image.digest]),
            ("platform", [details.image.platform]), ("size", [Human.size(details.image.sizeInBytes)]),
            ("created", details.image.created.map { [$0] } ?? []), ("loaded", [details.image.loaded]),
            ("entrypoint", quoted(execution.Entrypoint)), ("command", quoted(execution.Cmd)),
            ("environment", execution.Env), ("user", execution.User.map { [$0] } ?? []),
            ("directory", execution.WorkingDir.map { [$0] } ?? []),
            ("layer", details.layers.map { "\($0.digest) (\(Human.size($0.size)))" }),
            ("label", execution.Labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }),
        ]
        return all.flatMap { name, values in
            values.filter { !$0.isEmpty }.map { Fact(name: name, value: Human.printable($0)) }
        }
    }

    private static func quoted(_ words: [String]) -> [String] {
        words.isEmpty ? [] : [words.map { "\"\($0)\"" }.joined(separator: " ")]
    }
}

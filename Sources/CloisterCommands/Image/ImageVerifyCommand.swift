import Config
import ImageStore
import OCISpec

/// `cloister image verify`.
struct ImageVerifyCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "verify", abstract: "Read the whole image store and say what is damaged.",
            discussion: """

                Content is checked against its digest, every image for its content, layer disks for what they were when they \
                were made and by e2fsck. The exit status is 1 when something is damaged. What is left over from crashes and \
                interrupted pulls is no damage.
                """)
    }

    @Flag(
        "repair",
        help:
            "Remove what is damaged, and nothing else; disks are made anew by the next run, and pulling or loading an "
            + "image brings its content back.")
    var repair
    @Option("format", value: "FORMAT", help: ListFormat.help)
    var format: ListFormat = .table

    private struct Row: Encodable {
        var kind: String
        var name: String
        var state: String
        var problem: String
        var remedy: String
    }

    private struct Report: Encodable {
        var images: Int
        var blobs: Int
        var disks: Int
        var whole: Bool
        var findings: [Row]

        private enum CodingKeys: String, CodingKey { case images, blobs, disks, whole, findings }

        /// An empty list is said, too.
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(images, forKey: .images)
            try container.encode(blobs, forKey: .blobs)
            try container.encode(disks, forKey: .disks)
            try container.encode(whole, forKey: .whole)
            try container.encode(findings, forKey: .findings)
        }
    }

    private static var listing: Listing<Row> {
        Listing(
            fields: [
                .init("Kind") { $0.kind }, .init("State") { $0.state },
                .init("Name") { String($0.name.prefix(40)) },
                .init("Problem") { $0.problem + ($0.remedy.isEmpty ? "" : "; " + $0.remedy) },
            ], id: { $0.name })
    }

    func run() throws {
        // A wrong field is told before anything is removed.
        _ = try Self.listing.render([], format)
        let found = try Stores.images(try Configuration.load()).verify(repair: repair)
        let rows = found.findings.map {
            Row(
                kind: $0.kind.rawValue, name: $0.name, state: $0.state.rawValue, problem: Human.printable($0.problem),
                remedy: $0.remedy)
        }
        switch format {
        case .template, .tableTemplate: Output.standard(try Self.listing.render(rows, format))
        case .json:
            let report = Report(
                images: found.images, blobs: found.blobs, disks: found.disks, whole: found.isWhole, findings: rows)
            Output.standard(try JSONText.of(report, pretty: true) + "\n")
        case .table:
            if !rows.isEmpty { Output.standard(try Self.listing.render(rows, .table)) }
            let what = [(found.images, "image"), (found.blobs, "blob"), (found.disks, "layer disk")]
                .map { "\($0) \($1)\($0 == 1 ? "" : "s")" }.joined(separator: ", ")
            let hint = repair ? "" : "; \"cloister image verify --repair\" removes what is"
            Output.standard("\(what): \(found.isWhole ? "whole" : "damaged\(hint)").\n")
        }
        if !found.isWhole { throw ExitCode(1) }
    }
}

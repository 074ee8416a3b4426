import Config
import ImageStore

/// `cloister system df`.
struct SystemDiskCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "df", abstract: "Show what images and their disks take, and what `image prune -a` would free.")
    }

    @Option("format", value: "FORMAT", help: ListFormat.help)
    var format: ListFormat = .table

    private struct Row: Encodable {
        var type: String
        var total: Int
        var active: Int
        var size: Int64
        var reclaimable: Int64
    }

    func run() throws {
        let rows = try Stores.images(try Configuration.load()).usage().map {
            Row(
                type: $0.kind.rawValue, total: $0.count, active: $0.used, size: $0.sizeInBytes,
                reclaimable: $0.freeableInBytes)
        }
        let listing = Listing<Row>(
            fields: [
                .init("Type") { $0.type }, .init("TotalCount", title: "TOTAL") { "\($0.total)" },
                .init("Active") { "\($0.active)" }, .init("Size") { Human.size($0.size) },
                .init("Reclaimable") { row in
                    Human.size(row.reclaimable) + (row.size > 0 ? " (\(row.reclaimable * 100 / row.size) %)" : "")
                },
            ], id: { $0.type })
        Output.standard(try listing.render(rows, format))
    }
}

import Config
import FoundationEssentials
import Glibc
import ImageStore
import OCISpec

/// `cloister image history`.
struct ImageHistoryCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration("history", abstract: "Show the steps by which an image was made, the last one first.")
    }

    @Option("format", value: "FORMAT", help: ListFormat.help)
    var format: ListFormat = .table
    @Flag("no-trunc", help: "Do not shorten what made a step.") var noTrunc
    @Flag("q", "quiet", help: "Print the digests of layers alone.") var quiet
    @Argument("IMAGE", help: "A name or id.") var image: String

    struct Row: Encodable, Equatable {
        /// RFC 3339, as the image has it.
        var created: String?
        var createdBy: String?
        var comment: String?
        /// Of the layer as stored; 0 for a step that made none.
        var size: Int64
        /// nil for a step that made none.
        var layer: String?
        var diffID: String?
    }

    func run() throws {
        let image = try Stores.images(try Configuration.load()).resolve(image)
        let now = Int64(time(nil))
        let layer = { (row: Row) in row.layer.map { noTrunc ? $0 : ImageRow.short($0) } ?? "<none>" }
        let listing = Listing<Row>(
            fields: [
                .init("CreatedSince", title: "CREATED") { Timestamp.age($0.created, now: now) },
                .init("CreatedAt", isColumn: false) { $0.created ?? "<unknown>" },
                .init("CreatedBy") { Human.printable($0.createdBy ?? "", width: noTrunc ? nil : 45) },
                .init("Size") { Human.size($0.size) },
                .init("Layer", text: layer),
                // Docker's name for it; what an image was built from has no other here.
                .init("ID", isColumn: false, text: layer),
                .init("Comment") { Human.printable($0.comment ?? "", width: noTrunc ? nil : 45) },
            ], id: { $0.layer ?? "<none>" })
        Output.standard(try listing.render(Self.rows(image), format, quiet: quiet))
    }

    /// The last step first. Layers that no step tells of, as of images made without a history, come as steps of their own.
    static func rows(_ image: StoredImage) -> [Row] {
        var layers = image.layers[...]
        var rows: [Row] = []
        for step in image.config.history {
            let layer = step.empty_layer == true ? nil : layers.popFirst()
            rows.append(
                Row(
                    created: step.created, createdBy: step.created_by, comment: step.comment, size: layer?.size ?? 0,
                    layer: layer?.digest.description, diffID: layer?.diffID.description))
        }
        rows += layers.map {
            Row(size: $0.size, layer: $0.digest.description, diffID: $0.diffID.description)
        }
        return rows.reversed()
    }
}

/// Moments as images and people write them.
enum Timestamp {
    /// Seconds since the Unix epoch, of RFC 3339 with whatever fraction; nil for anything else.
    static func seconds(_ text: String) -> Double? {
        var whole = text
        if let point = whole.firstIndex(of: ".") {
            let end = whole[whole.index(after: point)...].firstIndex { !$0.isNumber } ?? whole.endIndex
            whole.removeSubrange(point..<end)
        }
        return (try? Date(whole, strategy: .iso8601))?.timeIntervalSince1970
    }

    /// e.g. `2 minutes ago`, of a moment as images have it. - Parameter now: seconds since the Unix epoch.
    static func age(_ text: String?, now: Int64) -> String {
        guard let text, let moment = seconds(text), let whole = Int64(exactly: moment.rounded()) else {
            return "<unknown>"
        }
        return Human.age(seconds: now - whole)
    }

    /// As Docker takes `until`: RFC 3339, a day, seconds since the Unix epoch, or how long ago (`24h`).
    static func moment(_ text: String, now: Double) -> Double? {
        if let seconds = seconds(text) ?? seconds(text + "T00:00:00Z") { return seconds }
        if let seconds = Double(text) { return seconds }
        guard let span = TimeSpan(text) else { return nil }
        return now - Double(span.duration.components.seconds)
    }
}

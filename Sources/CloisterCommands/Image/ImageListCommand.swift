import Config
import Glibc

/// `cloister image list`.
struct ImageListCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration("list", aliases: ["ls"], abstract: "List images.")
    }

    @Option("format", value: "table|json", help: "Print a table, which is the default, or JSON.")
    var format: ListFormat = .table
    @Flag("q", "quiet", help: "Print ids alone.") var quiet

    func run() throws {
        let rows = try Stores.images(try Configuration.load()).list().map(ImageRow.init)
        Output.standard(try ImageRow.listing(now: Int64(time(nil))).render(rows, format, quiet: quiet))
    }
}

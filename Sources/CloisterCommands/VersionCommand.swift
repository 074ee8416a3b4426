import AgentAPI
import Config

/// `cloister version`.
struct VersionCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration("version", abstract: "Print the versions of Cloister and of what it stands on.")
    }

    @Option("format", value: "table|json", help: "Print a table, which is the default, or JSON.")
    var format: ListFormat = .table

    private struct Row: Encodable {
        var name: String
        var version: String
    }

    func run() throws {
        let rows = [
            Row(name: "cloister", version: Installation.version),
            Row(name: "agent contract", version: "\(Agent.version)"),
            Row(name: "libvirt", version: LibvirtChecks.version?.text ?? "unknown"),
            Row(name: "QEMU", version: QEMUChecks().version ?? "not found"),
        ]
        let listing = Listing<Row>(
            columns: [.init(title: "NAME") { $0.name }, .init(title: "VERSION") { $0.version }], id: { $0.version })
        Output.standard(try listing.render(rows, format))
    }
}

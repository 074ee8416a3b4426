import AgentAPI
import Config

/// `cloister version`.
struct VersionCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration("version", abstract: "Print the versions of Cloister and of what it stands on.")
    }

    @Option("format", value: "FORMAT", help: ListFormat.help)
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
            fields: [.init("Name") { $0.name }, .init("Version") { $0.version }], id: { $0.version })
        Output.standard(try listing.render(rows, format))
    }
}

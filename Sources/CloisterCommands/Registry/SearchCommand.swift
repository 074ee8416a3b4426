import Config
import ImageStore
import Registry

/// `cloister search`.
struct SearchCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "search", abstract: "Search Docker Hub, or list what a registry has.",
            discussion: """

                TERM alone is for Docker Hub, or the configuration's default registry. REGISTRY/TERM asks a registry, by the same search where it has that, else \
                for the repositories whose names have TERM in them; REGISTRY/ lists all. With --list-tags, TERM is the name \
                of a repository.
                """)
    }

    @Option(
        "f", "filter", value: "KEY=VALUE",
        help: "Show those alone: stars=NUMBER at least, is-official=true or false, is-automated=true or false.")
    var filters: [SearchFilter]
    @Option("limit", value: "NUMBER", help: "Show so many at most; 25 by default. Searches give 100 at most.")
    var limit: Int64 = 25
    @Flag("list-tags", help: "List the tags of a repository.") var listTags
    @Flag("no-trunc", help: "Do not shorten descriptions.") var noTrunc
    @Option("format", value: "FORMAT", help: ListFormat.help) var format: ListFormat = .table
    @Flag("plain-http", help: "Speak to the registry without TLS, which anybody on the way can read and change.")
    var plain
    @Argument("TERM", help: "What to look for, or REGISTRY/TERM, or REGISTRY/ alone.") var term: String

    static let highestLimit: Int64 = 100_000

    struct Row: Encodable {
        /// The registry.
        var index: String
        /// As `pull` takes it.
        var name: String
        var description: String
        var stars: Int64
        var official: Bool
        var automated: Bool
    }

    struct TagRow: Encodable {
        var name: String
        var tag: String
    }

    func validate() throws {
        guard (1...Self.highestLimit).contains(limit) else {
            throw UserError("--limit: it must be from 1 to \(Self.highestLimit).")
        }
        if listTags, !filters.isEmpty { throw UserError("--filter is for searches; it does nothing with --list-tags.") }
    }

    func run() throws { if listTags { try tags() } else { try search() } }

    private func search() throws {
        let names = try names()
        let (domain, term) = try Self.place(term, names.registry)
        let isHub = domain == RegistryName.hub
        let registry = try Registry(isHub ? Registry.hubIndex : domain, Registries.options(plain: plain))
        let found = try registry.session().search(term, limit: Int(limit))
        let rows = found.items.map { item in
            let whole = "\(domain)/\(item.name)"
            let name = isHub ? (try? ImageReference(whole)).map(names.shownRepository) ?? item.name : whole
            return Row(
                index: domain, name: name, description: item.description ?? "",
                stars: item.stars ?? 0, official: item.isOfficial ?? false, automated: item.isAutomated ?? false)
        }
        .filter { row in filters.allSatisfy { $0.takes(row) } }
        let listing = Listing<Row>(
            fields: [
                .init("Index", isColumn: false) { $0.index },
                .init("Name") { $0.name },
                .init("Description") { row in
                    // Several lines, often.
                    let line = String(row.description.map { $0.isNewline || $0 == "\t" ? " " : $0 })
                    return Human.printable(line, width: noTrunc ? nil : 45)
                },
                .init("StarCount", title: "STARS") { "\($0.stars)" },
                .init("IsOfficial", title: "OFFICIAL") { $0.official ? "[OK]" : "" },
                .init("IsAutomated", title: "AUTOMATED", isColumn: false) { $0.automated ? "[OK]" : "" },
            ], id: { $0.name })
        Output.standard(try listing.render(rows, format))
        tell(found)
    }

    /// How names are read here.
    private func names() throws -> NameRules { try Stores.names(try Configuration.load()) }

    private func tags() throws {
        let names = try names()
        let reference = try names.reference(term)
        let shown = names.shownRepository(reference)
        guard reference.digest == nil, !term.hasSuffix(":\(reference.tag ?? "")") else {
            throw UserError("--list-tags takes a name without tag or digest, such as \(shown).")
        }
        let registry = try Registry(reference.domain, Registries.options(plain: plain))
        let found = try registry.session().tags(of: reference.path, limit: Int(limit))
        let listing = Listing<TagRow>(fields: [.init("Name") { $0.name }, .init("Tag") { $0.tag }], id: { $0.tag })
        let rows = found.items.map { TagRow(name: shown, tag: $0) }
        Output.standard(try listing.render(rows, format))
        tell(found)
    }

    private func tell<Item>(_ found: Session.Part<Item>) {
        guard found.isCut else { return }
        let why = found.items.count < limit ? "the registry's list has no end in sight" : "--limit shows more"
        Output.error("cloister: that is not all; \(why).\n")
    }

    /// A term, and whose it is: as in Docker, what is before a slash is a registry if it looks like one.
    /// - Parameter standard: the registry of terms without one.
    static func place(_ text: String, _ standard: String = RegistryName.hub) throws -> (domain: String, term: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map { String($0) }
        let isAddress = parts[0].contains { $0 == "." || $0 == ":" } || parts[0] == "localhost"
        if parts.count == 1, parts[0].contains(":") {
            throw UserError("to list what the registry \(text) has, end its address with a slash: \(text)/")
        }
        var (domain, term) = (standard, text)
        if parts.count == 2, isAddress { (domain, term) = (try RegistryName.named(parts[0]), parts[1]) }
        guard domain == RegistryName.hub else { return (domain, term) }
        // Docker Hub does not find its official images by their whole names.
        if term.hasPrefix("library/") { term.removeFirst("library/".count) }
        guard !term.isEmpty else { throw UserError("Docker Hub does not list all that it has; say what to look for.") }
        return (domain, term)
    }
}

/// `--filter` of a search, as Docker means it.
enum SearchFilter: ArgumentValue, Equatable {
    case stars(Int64)
    case official(Bool)
    case automated(Bool)

    init(argument: String) throws(InvalidValue) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { String($0) }
        let truths = ["true": true, "1": true, "false": false, "0": false]
        switch (parts[0], parts.count == 2 ? parts[1] : "") {
        case ("stars", let text):
            guard let number = Int64(text), number >= 0 else { throw InvalidValue("is not stars= and a number") }
            self = .stars(number)
        case ("is-official", let text), ("is-automated", let text):
            guard let truth = truths[text] else {
                throw InvalidValue("is neither \(parts[0])=true nor \(parts[0])=false")
            }
            self = parts[0] == "is-official" ? .official(truth) : .automated(truth)
        default: throw InvalidValue("is not a filter; write stars=NUMBER, is-official=true or is-automated=true")
        }
    }

    func takes(_ row: SearchCommand.Row) -> Bool {
        switch self {
        case .stars(let number): row.stars >= number
        case .official(let truth): row.official == truth
        case .automated(let truth): row.automated == truth
        }
    }
}

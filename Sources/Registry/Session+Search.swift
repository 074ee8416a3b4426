import FoundationEssentials
import OCISpec
import System

extension Registry {
    /// Who answers searches of Docker Hub, which is not who has its images.
    public static let hubIndex = "index.docker.io"
}

extension Session {
    /// What a search tells of a repository: all that Docker's does, or its name alone.
    public struct Found: Decodable, Equatable, Sendable {
        /// Without the registry.
        public var name: String
        public var description: String?
        public var stars: Int64?
        public var isOfficial: Bool?
        public var isAutomated: Bool?

        private enum CodingKeys: String, CodingKey {
            case name, description
            case stars = "star_count"
            case isOfficial = "is_official"
            case isAutomated = "is_automated"
        }
    }

    /// As much of a list as was wanted.
    public struct Part<Item: Sendable>: Sendable {
        public var items: [Item] = []
        /// Whether there was, or may be, more.
        public var isCut = false
    }

    private static let longestPageInBytes = 4 << 20
    private static let longestListInBytes = 64 << 20
    private static let mostPages = 300
    /// What registries give at once without being asked for less.
    private static let page = 100

    /// Repositories that a term leads to: by the search that Docker asks (`/v1/search`), or else, of any registry but Docker
    /// Hub, by looking for it in the names of the registry's catalog. An empty term leads to all.
    /// - Parameter limit: Docker's search gives 100 at most.
    /// - Throws: `RegistryError`.
    public func search(_ term: String, limit: Int) throws -> Part<Found> {
        if registry.domain == Registry.hubIndex {
            return Part(items: Array(try retrying { try askIndex(term, limit) }.prefix(limit)))
        }
        if !term.isEmpty {
            do { return Part(items: Array(try askIndex(term, limit).prefix(limit))) } catch let error as RegistryError {
                // Few have it, and those that do not say so in many ways.
                if error.kind == .unreachable { throw error }
            }
        }
        return try catalog(containing: term, limit: limit)
    }

    private func askIndex(_ term: String, _ limit: Int) throws -> [Found] {
        struct Answer: Decodable {
            var results: [Found]?
        }
        var endpoint = registry.own
        let root = endpoint.root
        endpoint.root = (root.hasSuffix("/v2") ? String(root.dropLast("/v2".count)) : root) + "/v1"
        let call = Call(
            path: "/search?q=\(Self.escape(term))&n=\(min(limit, Self.page))",
            headers: [("Accept", "application/json")], what: "repositories like \"\(term.printable)\"")
        let answer = try wholeAtOnce(endpoint, call, limit: Self.longestPageInBytes).bytes
        guard let found = (try? OCIJSON.decode(Answer.self, from: answer))?.results else {
            throw RegistryError(
                .invalid, "\(endpoint.authority) does not answer the search for \(call.what) as Docker Hub would")
        }
        return found
    }

    /// distribution, "Listing Repositories".
    private func catalog(containing term: String, limit: Int) throws -> Part<Found> {
        struct Page: Decodable {
            var repositories: [String]?
        }
        let call = Call(
            path: "/_catalog?n=\(term.isEmpty ? min(limit, Self.page) : Self.page)", scope: "registry:catalog:*",
            what: "list of repositories")
        return try pages(call, limit: limit) { (page: Page) in
            (page.repositories ?? []).filter { term.isEmpty || $0.contains(term) }.map { Found(name: $0) }
        }
    }

    /// The tags of a repository (distribution-spec, "Listing Tags").
    /// - Throws: `RegistryError`.
    public func tags(of repository: String, limit: Int) throws -> Part<String> {
        struct Page: Decodable {
            var tags: [String]?
        }
        let call = Call(
            path: "/\(repository)/tags/list", scope: "repository:\(repository):pull", repository: repository,
            what: "list of tags of \(registry.domain)/\(repository)")
        return try pages(call, limit: limit) { (page: Page) in page.tags ?? [] }
    }

    /// Follows a list from page to page.
    private func pages<Page: Decodable, Item: Sendable>(
        _ call: Call, limit: Int, _ items: (Page) -> [Item]
    ) throws -> Part<Item> {
        var call = call
        let path = String(call.path.prefix { $0 != "?" })
        var part = Part<Item>()
        var bytes = 0
        var seen: Set<String> = []
        for _ in 0..<Self.mostPages {
            let (head, answer) = try whole(registry.own, call, limit: Self.longestPageInBytes)
            guard let page = try? OCIJSON.decode(Page.self, from: answer) else {
                throw RegistryError(.invalid, "\(registry.own.authority) answers with what is no \(call.what)")
            }
            part.items += items(page)
            bytes += answer.count
            let next = try head.fields["link"].flatMap(Self.next).map { link throws(RegistryError) in
                try query(of: link, path, call.what)
            }
            if part.items.count >= limit {
                part.isCut = part.items.count > limit || next != nil
                part.items.removeLast(part.items.count - limit)
                return part
            }
            guard let next else { return part }
            guard seen.insert(next).inserted else {
                throw RegistryError(
                    .invalid, "\(registry.own.authority) leads from page to page of its \(call.what) in a circle")
            }
            call.path = "\(path)?\(next)"
            if bytes > Self.longestListInBytes { break }
        }
        part.isCut = true
        return part
    }

    /// Where a list goes on, of its `Link` fields (RFC 8288): the target of the link whose relation is `next`.
    static func next(_ fields: [String]) -> String? {
        for field in fields {
            var rest = field[...]
            while let open = rest.firstIndex(of: "<"), let close = rest[open...].firstIndex(of: ">") {
                let target = rest[rest.index(after: open)..<close]
                rest = rest[rest.index(after: close)...]
                let parameters = rest.prefix { $0 != "<" }.lowercased().split(separator: ";")
                for parameter in parameters {
                    let parts = parameter.split(separator: "=", maxSplits: 1)
                    guard parts.count == 2, parts[0].filter({ !$0.isWhitespace }) == "rel" else { continue }
                    let words = parts[1].split { $0 == "\"" || $0 == "," || $0.isWhitespace }
                    if words.contains("next") { return String(target) }
                }
            }
        }
        return nil
    }

    /// Of a link nothing counts but its query: who is asked, and for what, is not for an answer to say.
    private func query(of link: String, _ path: String, _ what: String) throws(RegistryError) -> String {
        let root = registry.known(registry.own).root
        guard let url = URL(string: link, relativeTo: URL(string: root + path))?.absoluteString,
            Self.origin(url) == Self.origin(root), let mark = url.firstIndex(of: "?"), url[..<mark].hasSuffix(path)
        else {
            throw RegistryError(
                .invalid,
                "\(registry.own.authority) says that its \(what) goes on at \"\(link.printable)\", which is somewhere else"
            )
        }
        let query = url[url.index(after: mark)...].prefix { $0 != "#" }
        guard query.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw RegistryError(
                .invalid, "\(registry.own.authority) says that its \(what) goes on at \"\(link.printable)\", no address"
            )
        }
        return String(query)
    }
}

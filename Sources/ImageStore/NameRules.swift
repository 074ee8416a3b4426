/// How names that people give are read: as Docker does, unless short names are configured to mean something else. A short
/// name is one that says no registry. It stands for one whole name and no other: what an alias says; else what is at the
/// default registry. A name with a registry in it means itself, always.
public struct NameRules: Sendable, Equatable {
    /// nil for Docker's.
    private let defaultRegistry: String?
    private let aliases: [String: String]

    /// As Docker reads names.
    public init() {
        defaultRegistry = nil
        aliases = [:]
    }

    /// - Parameters:
    ///   - defaultRegistry: `host` or `host:port`, looking like one: with a dot or a port, or `localhost`.
    ///   - aliases: names without tags by short names.
    /// - Throws: `Mistake` naming what cannot be used.
    public init(defaultRegistry: String?, aliases: [String: String]) throws(Mistake) {
        if let registry = defaultRegistry {
            let example = try? ImageReference(registry + "/x")
            guard let example, ImageReference.short(registry + "/x") == nil,
                registry == example.domain
                    || (registry == "index.docker.io" && example.domain == ImageReference.defaultDomain)
            else {
                throw Mistake(
                    key: "default_registry", value: registry,
                    why:
                        "is not a registry's address; one looks like \"registry.example.com\" or \"localhost:5000\"")
            }
        }
        for (name, target) in aliases {
            let key = "aliases.\(name)"
            guard (try? ImageReference(name)) != nil, let (_, rest) = ImageReference.short(name), rest.isEmpty else {
                throw Mistake(
                    key: key, value: name,
                    why:
                        "is not a short name; one looks like \"alpine\" or \"team/tool\", without registry, tag and digest"
                )
            }
            let isWhole = ImageReference.short(target) == nil
            guard let reference = try? ImageReference(target), isWhole, reference.digest == nil,
                (try? ImageReference(target + ":tag"))?.tag == "tag"
            else {
                throw Mistake(
                    key: key, value: target,
                    why: "is not a whole name without a tag; one looks like \"docker.io/library/alpine\"")
            }
        }
        self.defaultRegistry = defaultRegistry
        self.aliases = aliases
    }

    /// A rule that cannot be used.
    public struct Mistake: Error, Equatable, Sendable, CustomStringConvertible {
        /// As it is called in the configuration.
        public let key: String
        public let value: String
        let why: String
        public var description: String { "\(key): \"\(value)\" \(why)" }
    }

    /// What a name that a person gave means.
    /// - Throws: `ImageError` that says which part of `text` is wrong.
    public func reference(_ text: String) throws(ImageError) -> ImageReference {
        let asDocker = try ImageReference(text)
        guard let (name, rest) = ImageReference.short(text) else { return asDocker }
        if let target = aliases[name] { return try ImageReference(target + rest) }
        if let defaultRegistry { return try ImageReference("\(defaultRegistry)/\(text)") }
        return asDocker
    }

    /// As short as Docker shows it, where that would be read as the same again; else whole.
    public func shown(_ reference: ImageReference) -> String {
        let short = reference.familiar
        return (try? self.reference(short)) == reference ? short : reference.description
    }

    /// The same without tag and digest.
    public func shownRepository(_ reference: ImageReference) -> String {
        String(shown(reference).dropLast(reference.suffix.count))
    }

    /// The same of a whole name as the store keeps it; a digest stays what it is.
    public func shown(_ text: String) -> String {
        Digest(text) == nil ? (try? ImageReference(text)).map(shown) ?? text : text
    }

    /// The registry of names that name none.
    public var registry: String {
        (defaultRegistry.flatMap { try? ImageReference($0 + "/x") })?.domain ?? ImageReference.defaultDomain
    }
}

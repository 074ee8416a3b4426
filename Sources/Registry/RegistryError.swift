/// What went wrong between us and a registry: one sentence for the person at the terminal, with the remedy.
public struct RegistryError: Error, CustomStringConvertible, Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        /// Nobody answers there.
        case unreachable
        /// Cut off, stalled, or the registry is busy or broken: another attempt may do. In seconds, when it said how long.
        case temporary(after: Int?)
        /// Credentials are missing, wrong or not enough.
        case unauthorized
        /// There is no such thing.
        case notFound
        /// What it answered cannot be right.
        case invalid
        case other
    }

    public let kind: Kind
    public let description: String

    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}

extension String {
    /// Somebody else's words, for a line of ours: without control characters, and not too many.
    var printable: String {
        let words = unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }
        let text = String(String.UnicodeScalarView(words))
        return text.count > 200 ? text.prefix(200) + "…" : text
    }
}

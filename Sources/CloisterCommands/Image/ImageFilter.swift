import Glibc
import ImageStore

/// `--filter KEY=VALUE`, as Docker means it. Several of one key: any of them; of several keys: all of them.
struct ImageFilter: ArgumentValue, Equatable {
    enum Key: String, CaseIterable { case reference, dangling, before, since, until, label }

    let key: Key
    let value: String

    init(argument: String) throws(InvalidValue) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let key = Key(rawValue: String(parts[0])), !parts[1].isEmpty else {
            let keys = Key.allCases.map { "\($0.rawValue)=" }.joined(separator: ", ")
            throw InvalidValue("is not a filter; write one of \(keys) and a value")
        }
        value = String(parts[1])
        self.key = key
        switch key {
        case .dangling where !["true", "false", "1", "0"].contains(value):
            throw InvalidValue("is neither dangling=true nor dangling=false")
        case .until where Timestamp.moment(value, now: 0) == nil:
            throw InvalidValue("is not a moment; write it like 24h or 2026-01-31T12:00:00Z")
        default: break
        }
    }

    init(reference: String) {
        key = .reference
        value = reference
    }

    /// - Parameters:
    ///   - store: where `before` and `since` look their images up.
    ///   - now: seconds since the Unix epoch.
    /// - Throws: `ImageError` when there is no image that a filter names.
    static func condition(
        _ filters: [ImageFilter], _ store: ImageStore, now: Double
    ) throws -> (StoredImage) -> Bool {
        var moments: [String: Double] = [:]
        for filter in filters where filter.key == .before || filter.key == .since {
            moments[filter.value] = created(try store.resolve(filter.value)) ?? 0
        }
        let keys = Key.allCases.filter { key in filters.contains { $0.key == key } }
        return { image in
            keys.allSatisfy { key in
                filters.contains {
                    $0.key == key && $0.matches(image, store.names, moments[$0.value] ?? 0, now: now)
                }
            }
        }
    }

    private func matches(_ image: StoredImage, _ names: NameRules, _ moment: Double, now: Double) -> Bool {
        switch key {
        case .reference: return Self.matches(image, names, value)
        case .dangling: return (image.reference == nil) == (value == "true" || value == "1")
        case .before: return (Self.created(image) ?? 0) < moment
        case .since: return (Self.created(image) ?? 0) > moment
        case .until:
            // One that does not say when it was made is not taken for an old one.
            guard let created = Self.created(image), let until = Timestamp.moment(value, now: now) else { return false }
            return created < until
        case .label:
            let parts = value.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let found = image.config.config?.Labels[parts[0]]
            return parts.count == 2 ? found == parts[1] : found != nil
        }
    }

    private static func created(_ image: StoredImage) -> Double? {
        image.config.created.flatMap(Timestamp.seconds)
    }

    /// A pattern of path.Match, where `*` and `?` do not match a slash, of the name with its tag or without. What is no
    /// pattern but a name means what names mean.
    private static func matches(_ image: StoredImage, _ rules: NameRules, _ pattern: String) -> Bool {
        guard let reference = image.reference else { return false }
        if let wanted = try? rules.reference(pattern) {
            let isTagged = wanted.digest != nil || pattern.hasSuffix(":\(wanted.tag ?? "")")
            if isTagged ? wanted == reference : wanted.name == reference.name { return true }
        }
        let names = [image.displayName, image.displayRepository, reference.description, reference.name]
        return names.contains(where: { (name: String) -> Bool in fnmatch(pattern, name, FNM_PATHNAME) == 0 })
    }
}

/// What a pod may ask of its sandbox: annotations `io.cloister.KEY`, where KEY is one of a fixed few of the configuration
/// file's keys and the file's `pod_annotations` allows it. No key that names a file of the host, adds words to a kernel's
/// command line or chooses what isolates the pod is among them.
public enum PodAnnotations {
    public static let prefix = "io.cloister."

    /// All that can be allowed.
    public static let allowable = ConfigurationKey.all.filter(\.podMaySet).map { prefix + $0.name }
}

extension Configuration {
    /// - Parameter annotations: of the pod or container; those of others are not looked at.
    /// - Returns: the configuration for this pod.
    /// - Throws: `ConfigurationError` for an annotation that is not allowed, or a value that is not acceptable.
    public func changed(
        byPod annotations: [String: String]
    ) throws(ConfigurationError) -> Configuration {
        var result = self
        for (name, text) in annotations.sorted(by: { $0.key < $1.key }) where name.hasPrefix(PodAnnotations.prefix) {
            let key = ConfigurationKey.all.first { $0.podMaySet && PodAnnotations.prefix + $0.name == name }
            guard let key else {
                let hint = Suggestion.nearest(to: name, among: PodAnnotations.allowable).map { "; did you mean \($0)?" }
                throw ConfigurationError(
                    "annotation \(name) is none that a pod may have"
                        + (hint ?? "; there are \(PodAnnotations.allowable.joined(separator: ", "))."))
            }
            guard podAnnotations.contains(name) else {
                throw ConfigurationError(
                    "annotation \(name) is not allowed; take it from the pod, or let the machine's administrator add it "
                        + "to pod_annotations in Cloister's configuration.")
            }
            // An annotation is always text; where the file has a number, digits are one.
            var accepted = key.apply(.string(text), &result)
            if !accepted, let number = Int64(text) { accepted = key.apply(.integer(number), &result) }
            guard accepted else { throw ConfigurationError("annotation \(name) must be \(key.accepts).") }
            result.setByPod.insert(key.name)
        }
        return result
    }
}

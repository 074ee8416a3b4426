/// The command line by which containerd starts a shim: Go's flags, one or two dashes and `=` or a space, then a verb
/// (containerd, `runtime/v2/README.md`).
struct ShimArguments: Equatable {
    var namespace = ""
    var id = ""
    /// Of containerd's gRPC socket.
    var address = ""
    var bundle = ""
    var debug = false
    var version = false
    var info = false
    /// `start` or `delete`; empty when there is none.
    var verb = ""

    struct Invalid: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    init(_ arguments: [String]) throws(Invalid) {
        var rest = arguments[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("-"), word != "-", word != "--" else {
                verb = word
                break
            }
            let flag = word.drop { $0 == "-" }
            let parts = flag.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            if let path = Self.switches[name] {
                self[keyPath: path] = parts.count == 1 || ["1", "t", "true"].contains(parts[1].lowercased())
                continue
            }
            guard Self.ignored.contains(name) || Self.values[name] != nil else {
                throw Invalid(description: "there is no flag \(word)")
            }
            guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
                throw Invalid(description: "the flag \(word) needs a value")
            }
            if let path = Self.values[name] { self[keyPath: path] = value }
        }
    }

    private typealias Path<Value> = WritableKeyPath<ShimArguments, Value> & Sendable
    private static let switches: [String: Path<Bool>] = ["debug": \.debug, "v": \.version, "info": \.info]
    private static let values: [String: Path<String>] = [
        "namespace": \.namespace, "id": \.id, "address": \.address, "bundle": \.bundle,
    ]
    /// Meant for shims that publish events through containerd's own program, or that are given a socket to listen at.
    private static let ignored: Set<String> = ["publish-binary", "socket"]
}

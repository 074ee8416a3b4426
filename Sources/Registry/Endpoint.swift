import System

/// One server that speaks the distribution protocol for a registry: the registry itself, or a mirror of it.
struct Endpoint: Sendable, Equatable {
    /// e.g. `https://registry-1.docker.io/v2`, without a slash at the end.
    var root: String
    var tls = TLSOptions()
    var headers: [String: String] = [:]
    var pulls = true
    var resolves = true
    var pushes = true
    /// Of a mirror: the registry it stands in for, which it is told as `ns` (containerd's hosts.toml).
    var mirrors: String?
    /// Whether plain HTTP will do where the server speaks no TLS.
    var mayBePlain = false

    /// Host and port: for messages, and to find credentials by.
    var authority: String { Self.authority(of: root) }
    var isPlain: Bool { root.hasPrefix("http://") }

    /// The same server without TLS.
    var plain: Endpoint {
        var result = self
        if root.hasPrefix("https://") { result.root = "http://" + root.dropFirst("https://".count) }
        result.mayBePlain = false
        return result
    }

    static func authority(of url: String) -> String {
        guard let scheme = url.firstRange(of: "://") else { return url }
        return String(url[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" })
    }

    /// Whether an address is this machine's own, which nobody listens in on.
    static func isLoopback(_ authority: String) -> Bool {
        var host = authority[...]
        if host.hasPrefix("[") {
            host = host.dropFirst().prefix { $0 != "]" }
            return host == "::1"
        }
        host = host.prefix { $0 != ":" }
        let parts = host.split(separator: ".")
        return host == "localhost" || host.hasSuffix(".localhost")
            || parts.first == "127" && parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
    }

    /// The registry itself, when nothing is configured for it.
    static func standard(_ domain: String, plain: Bool) -> Endpoint {
        let host = domain == "docker.io" ? "registry-1.docker.io" : domain
        return Endpoint(root: "\(plain ? "http" : "https")://\(host)/v2", mayBePlain: !plain && isLoopback(host))
    }
}

import Glibc
import System

/// How registries are reached.
public struct RegistryOptions: Sendable {
    /// Directories laid out as `certs.d`: see `HostConfiguration`.
    public var hostDirectories: [String] = []
    /// nil: nobody is logged in anywhere.
    public var credentials: CredentialFile?
    /// Speak HTTP without TLS, to whatever registry.
    public var plain = false
    /// Names this program to the registry.
    public var userAgent = "cloister"
    /// Told what a person might wonder at, such as a wait.
    public var note: @Sendable (String) -> Void = { _ in }

    public init() {}

    /// Where hosts are configured: by the person, for Cloister, for containerd, for Docker, for Podman.
    public static func hostDirectories(environment: (String) -> String? = { getenv($0).map { String(cString: $0) } })
        -> [String]
    {
        func absolute(_ name: String) -> String? { environment(name).flatMap { $0.hasPrefix("/") ? $0 : nil } }
        let own = absolute("XDG_CONFIG_HOME") ?? absolute("HOME").map { $0 + "/.config" }
        return [own.map { $0 + "/cloister/certs.d" }].compactMap { $0 }
            + ["/etc/cloister/certs.d", "/etc/containerd/certs.d", "/etc/docker/certs.d", "/etc/containers/certs.d"]
    }
}

/// A registry, by the OCI distribution specification (github.com/opencontainers/distribution-spec): itself and its mirrors,
/// whoever one is to them. Safe from any thread; each makes a `Session` of its own.
public final class Registry: Sendable {
    /// As names have it, e.g. `docker.io`.
    public let domain: String
    let options: RegistryOptions
    let endpoints: [Endpoint]
    /// Instead of those that are kept.
    private let given: Credentials?
    private let state = Guarded(State())

    private struct State {
        /// `Authorization` fields that were taken, by server and what they are for.
        var authorizations: [String: String] = [:]
        /// Servers of this machine that turned out to speak no TLS.
        var plain: Set<String> = []
    }

    /// - Throws: `RegistryError` for a configuration of its hosts that cannot be used.
    public init(_ domain: String, _ options: RegistryOptions) throws(RegistryError) {
        self.domain = domain
        self.options = options
        endpoints = try HostConfiguration(directories: options.hostDirectories)
            .endpoints(for: domain, plain: options.plain)
        given = nil
    }

    private init(_ other: Registry, _ credentials: Credentials) {
        (domain, options, endpoints) = (other.domain, other.options, other.endpoints)
        given = credentials
    }

    /// The registry itself, which is not always the last to be asked.
    var own: Endpoint { endpoints.last { $0.mirrors == nil } ?? endpoints[endpoints.count - 1] }

    /// The same registry for somebody else.
    func with(_ credentials: Credentials) -> Registry { Registry(self, credentials) }

    /// One thread's connections to it.
    /// - Throws: `RegistryError` when libcurl is not there.
    public func session() throws(RegistryError) -> Session { Session(self, try HTTPClient()) }

    /// Whoever was last let in, for this, there.
    func authorization(_ endpoint: Endpoint, _ scope: String) -> String? {
        state.withLock { $0.authorizations["\(endpoint.root) \(scope)"] }
    }

    func remember(_ authorization: String?, _ endpoint: Endpoint, _ scope: String) {
        state.withLock { $0.authorizations["\(endpoint.root) \(scope)"] = authorization }
    }

    /// The endpoint as it was found to be.
    func known(_ endpoint: Endpoint) -> Endpoint {
        state.withLock { $0.plain.contains(endpoint.root) } ? endpoint.plain : endpoint
    }

    func rememberPlain(_ endpoint: Endpoint) { state.withLock { _ = $0.plain.insert(endpoint.root) } }

    func credentials(_ endpoint: Endpoint, _ repository: String?) throws(RegistryError) -> Credentials? {
        if let given { return given }
        // A mirror is somebody else, who must not be shown what the registry is.
        let name = endpoint.mirrors == nil ? domain : endpoint.authority
        return try options.credentials?.credentials(for: name, repository: repository)
    }
}

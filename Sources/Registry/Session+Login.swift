import System

extension Session {
    /// Whether the registry takes these credentials.
    /// - Throws: `RegistryError` when it does not, or cannot be asked.
    public func check(_ credentials: Credentials) throws {
        guard let endpoint = registry.endpoints.last else { return }
        let asked = Session(registry.with(credentials), client)
        _ = try asked.persist(endpoint, Call(path: "/", what: "login")) { _, _, _ in }
    }
}

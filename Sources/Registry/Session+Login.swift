import System

extension Session {
    /// Whether the registry takes these credentials.
    /// - Throws: `RegistryError` when it does not, or cannot be asked.
    public func check(_ credentials: Credentials) throws {
        let asked = Session(registry.with(credentials), client)
        try asked.persist(registry.own, Call(path: "/", isLogin: true, what: "login"))
    }
}

import FoundationEssentials
import System

extension Session {
    private func scope(_ repository: String) -> String { "repository:\(repository):pull,push" }

    private func pushing<T>(_ body: (Endpoint) throws -> T) throws -> T {
        guard let endpoint = registry.endpoints.last(where: \.pushes) else {
            throw RegistryError(.other, "none of the servers configured for \(registry.domain) takes images")
        }
        return try body(endpoint)
    }

    /// Whether the registry has a blob.
    /// - Throws: `RegistryError`.
    public func has(_ repository: String, _ digest: String) throws -> Bool {
        try pushing { endpoint in
            let call = Call(
                method: "HEAD", path: "/\(repository)/blobs/\(digest)", scope: scope(repository),
                repository: repository,
                what: "\(digest) of \(registry.domain)/\(repository)")
            do {
                try persist(endpoint, call)
                return true
            } catch let error as RegistryError where error.kind == .notFound { return false }
        }
    }

    /// Stores a blob (distribution-spec, "Pushing a blob monolithically": a place first, then the bytes).
    /// - Parameters:
    ///   - file: read from its beginning.
    ///   - size: in bytes.
    ///   - sent: told how much is gone.
    /// - Throws: `RegistryError`.
    public func push(
        _ repository: String, _ digest: String, _ file: FileDescriptor, size: Int64, sent: @escaping (Int64) -> Void
    ) throws {
        try pushing { endpoint in
            try retrying { try upload(endpoint, repository, digest, .file(file, size: size), sent: sent) }
        }
    }

    /// Stores a small blob.
    /// - Throws: `RegistryError`.
    public func push(_ repository: String, _ digest: String, _ bytes: [UInt8]) throws {
        try pushing { try upload($0, repository, digest, .bytes(bytes), sent: { _ in }) }
    }

    private func upload(
        _ endpoint: Endpoint, _ repository: String, _ digest: String, _ body: HTTPRequest.Body,
        sent: @escaping (Int64) -> Void
    ) throws {
        let what = "a place for \(digest) in \(registry.domain)/\(repository)"
        let place = try persist(
            endpoint,
            Call(
                method: "POST", path: "/\(repository)/blobs/uploads/", body: .bytes([]), scope: scope(repository),
                repository: repository, what: what))
        let root = registry.known(endpoint).root + "/"
        guard let location = place.first("location"),
            let url = URL(string: location, relativeTo: URL(string: root))?.absoluteString,
            url.hasPrefix("https://") || url.hasPrefix("http://") && root.hasPrefix("http://")
        else { throw RegistryError(.invalid, "\(endpoint.authority) was asked for \(what) and names none") }
        _ = try ask(
            endpoint,
            Call(
                method: "PUT", path: url + (url.contains("?") ? "&" : "?") + "digest=\(Self.escape(digest))",
                headers: [("Content-Type", "application/octet-stream")], body: body, scope: scope(repository),
                repository: repository, what: "to take \(digest) into \(registry.domain)/\(repository)"),
            sent: sent
        ) { _, _ in }
    }

    /// Stores a manifest under a tag or its digest; what it names must be there.
    /// - Throws: `RegistryError`.
    public func pushManifest(_ repository: String, _ reference: String, _ bytes: [UInt8], mediaType: String) throws {
        try pushing { endpoint in
            _ = try persist(
                endpoint,
                Call(
                    method: "PUT", path: "/\(repository)/manifests/\(reference)",
                    headers: [("Content-Type", mediaType)],
                    body: .bytes(bytes), scope: scope(repository), repository: repository,
                    what: "to take image \(registry.domain)/\(repository):\(reference)"))
        }
    }
}

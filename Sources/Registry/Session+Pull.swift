import System

extension Session {
    /// A manifest or index, as it came. Nothing about it is checked but its size.
    public struct Document: Sendable {
        public let bytes: [UInt8]
        /// As the registry calls it.
        public let mediaType: String
    }

    /// What this side understands; a registry may have others.
    static let manifestTypes = [
        "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]

    /// A manifest or index by tag or digest, from the first server that has it.
    /// - Parameter limit: in bytes.
    /// - Throws: `RegistryError`.
    public func manifest(_ repository: String, _ reference: String, limit: Int) throws -> Document {
        let name = "\(registry.domain)/\(repository)\(reference.contains(":") ? "@" : ":")\(reference)"
        let call = Call(
            path: "/\(repository)/manifests/\(reference)",
            headers: [("Accept", Self.manifestTypes.joined(separator: ", "))],
            scope: "repository:\(repository):pull", repository: repository, what: "image \(name)")
        return try fromAny(\.resolves) { endpoint in
            let (head, bytes) = try whole(endpoint, call, limit: limit)
            return Document(bytes: bytes, mediaType: head.first("content-type") ?? "")
        }
    }

    /// A small blob whole, from the first server that has it.
    /// - Parameter limit: in bytes.
    /// - Throws: `RegistryError`.
    public func document(_ repository: String, _ digest: String, limit: Int) throws -> [UInt8] {
        let call = blobCall(repository, digest)
        return try fromAny(\.pulls) { try whole($0, call, limit: limit).bytes }
    }

    private func blobCall(_ repository: String, _ digest: String) -> Call {
        Call(
            path: "/\(repository)/blobs/\(digest)", scope: "repository:\(repository):pull", repository: repository,
            what: "\(digest) of \(registry.domain)/\(repository)")
    }

    /// An answer's whole body. - Parameter limit: in bytes.
    func whole(_ endpoint: Endpoint, _ call: Call, limit: Int) throws -> (head: HTTPHead, bytes: [UInt8]) {
        try retrying { try wholeAtOnce(endpoint, call, limit: limit) }
    }

    /// `whole` in one attempt.
    func wholeAtOnce(_ endpoint: Endpoint, _ call: Call, limit: Int) throws -> (head: HTTPHead, bytes: [UInt8]) {
        var bytes: [UInt8] = []
        let head = try ask(endpoint, call) { head, more in
            let announced = head.first("content-length").flatMap { Int64($0) } ?? 0
            guard announced <= limit, bytes.count + more.count <= limit else {
                throw RegistryError(
                    .invalid,
                    "\(endpoint.authority) answers with more than \(limit >> 20) MiB for \(call.what), which is "
                        + "more than there can be")
            }
            bytes += more
        }
        return (head, bytes)
    }

    /// A blob's bytes from an offset on, from the first server that has it.
    /// - Parameter urls: where else it may be had, when no server has it.
    /// - Parameter body: gets the bytes in order, each piece with its place in the blob. That may lie before `offset`, or
    ///   before what came last: where a server sends all of it, or another goes on where the first one failed.
    /// - Throws: `RegistryError`, which may be temporary: then asking again from what came so far may do.
    public func blob(
        _ repository: String, _ digest: String, from offset: Int64, urls: [String] = [],
        body: @escaping (_ position: Int64, UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var call = blobCall(repository, digest)
        if offset > 0 { call.headers.append(("Range", "bytes=\(offset)-")) }
        let fetch = { [self] (endpoint: Endpoint, call: Call) throws in
            var position: Int64?
            _ = try ask(endpoint, call) { head, bytes in
                if position == nil { position = head.status == 206 ? Self.start(head) : 0 }
                guard let place = position, place >= 0 else {
                    throw RegistryError(.invalid, "\(endpoint.authority) does not say which part of \(digest) it sends")
                }
                try body(place, bytes)
                position = place + Int64(bytes.count)
            }
        }
        do { try fromAny(\.pulls) { try fetch($0, call) } } catch let error as RegistryError
            where error.kind == .notFound
        {
            // Layers that may not be passed on are where their maker has them (image-spec, descriptor.md, "urls").
            guard let url = urls.first(where: { $0.hasPrefix("https://") }) else { throw error }
            call.path = url
            call.scope = ""
            try fetch(Endpoint(root: Self.origin(url)), call)
        }
    }

    /// `Content-Range: bytes FIRST-LAST/ALL` (RFC 9110, 14.4).
    private static func start(_ head: HTTPHead) -> Int64? {
        guard let range = head.first("content-range"), range.hasPrefix("bytes ") else { return nil }
        return Int64(range.dropFirst(6).prefix { $0 != "-" })
    }

    /// The answer of the first server that gives one: a mirror that lacks something, or fails, is passed over.
    func fromAny<T>(_ able: KeyPath<Endpoint, Bool>, _ body: (Endpoint) throws -> T) throws -> T {
        let able = registry.endpoints.filter { $0[keyPath: able] }
        for endpoint in able.dropLast() {
            do { return try body(endpoint) } catch let error as RegistryError {
                if case .temporary = error.kind, endpoint.mirrors == nil { throw error }
                registry.options.note("\(error); asking the next")
            }
        }
        guard let last = able.last else {
            throw RegistryError(.other, "none of the servers configured for \(registry.domain) may be asked for that")
        }
        return try body(last)
    }
}

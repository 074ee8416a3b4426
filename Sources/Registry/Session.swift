import FoundationEssentials
import Glibc
import System

/// One thread's conversation with a registry: requests with whoever one is, through redirects, again when that helps.
public final class Session {
    public let registry: Registry
    let client: HTTPClient

    init(_ registry: Registry, _ client: HTTPClient) {
        self.registry = registry
        self.client = client
    }

    static let mostRedirects = 10
    /// Of what a registry says of an error.
    private static let longestErrorInBytes = 64 << 10
    /// Between attempts, in milliseconds, where the registry does not say.
    private static let pauses = [500, 1000, 2000, 4000]
    /// A registry may ask for more patience than that, but not for more than this.
    private static let longestPause = 60

    /// What one asks of an endpoint.
    struct Call {
        var method = "GET"
        /// Below `/v2`, with a slash; or an address that the endpoint gave.
        var path: String
        var headers: [(name: String, value: String)] = []
        var body = HTTPRequest.Body.none
        /// `pull` or `pull,push` of a repository, or nothing.
        var scope = ""
        var repository: String?
        /// Whether nothing else is asked but to be let in.
        var isLogin = false
        /// What is asked for, for messages.
        var what: String
    }

    /// Gets the body of an answer with a status of 2xx; what it throws ends the call.
    typealias Sink = (HTTPHead, UnsafeRawBufferPointer) throws -> Void

    /// Asks an endpoint once: logged in where it wants that, through redirects.
    /// - Returns: an answer with a status of 2xx.
    /// - Throws: `RegistryError` for all others; what `sink` threw.
    func ask(
        _ endpoint: Endpoint, _ call: Call, sent: @escaping (Int64) -> Void = { _ in }, sink: @escaping Sink
    ) throws -> HTTPHead {
        var endpoint = registry.known(endpoint)
        var mayLogIn = true
        while true {
            var authorization = registry.authorization(endpoint, call.scope)
            if authorization == nil,
                let header = endpoint.headers.first(where: { $0.key.lowercased() == "authorization" })
            {
                authorization = header.value
            }
            let (head, error): (HTTPHead, [UInt8])
            do {
                (head, error) = try follow(endpoint, call, authorization, sent: sent, sink: sink)
            } catch HTTPClient.Failure.notTLS where endpoint.mayBePlain {
                registry.rememberPlain(endpoint)
                endpoint = endpoint.plain
                continue
            } catch let failure as HTTPClient.Failure { throw explain(failure, endpoint, call) }
            if head.status == 401, mayLogIn {
                mayLogIn = false
                let challenges = Challenge.parse(head.fields["www-authenticate"] ?? [])
                registry.remember(nil, endpoint, call.scope)
                if let granted = try authorize(endpoint, challenges, call) {
                    registry.remember(granted, endpoint, call.scope)
                    continue
                }
            }
            guard (200..<300).contains(head.status) else { throw refusal(head, error, endpoint, call) }
            return head
        }
    }

    /// `ask`, again after a pause while that may help, without the answer's body. For calls that may be repeated.
    @discardableResult
    func persist(_ endpoint: Endpoint, _ call: Call) throws -> HTTPHead {
        try retrying { try ask(endpoint, call) { _, _ in } }
    }

    /// Does something again, after a pause, while that may help.
    func retrying<T>(_ body: () throws -> T) throws -> T {
        var attempt = 0
        while true {
            do { return try body() } catch let error as RegistryError {
                guard pause(after: error, attempt: attempt) else { throw error }
                attempt += 1
            }
        }
    }

    /// Waits before another attempt. - Returns: false when there is to be none.
    public func pause(after error: RegistryError, attempt: Int) -> Bool {
        guard case .temporary(let seconds) = error.kind, attempt < Self.pauses.count else { return false }
        var wait = Self.pauses[attempt] + Int.random(in: 0..<250)
        if let seconds {
            guard seconds <= Self.longestPause else { return false }
            wait = max(wait, seconds * 1000)
        }
        registry.options.note("\(error); trying again in \((wait + 500) / 1000) s")
        usleep(UInt32(wait) * 1000)
        return true
    }

    private func follow(
        _ endpoint: Endpoint, _ call: Call, _ authorization: String?, sent: @escaping (Int64) -> Void,
        sink: @escaping Sink
    ) throws -> (HTTPHead, error: [UInt8]) {
        var request = HTTPRequest(method: call.method, url: call.path, body: call.body, tls: endpoint.tls)
        if !call.path.contains("://") {
            request.url = endpoint.root + call.path
            if let namespace = endpoint.mirrors {
                request.url += (call.path.contains("?") ? "&" : "?") + "ns=\(namespace)"
            }
        }
        for _ in 0...Self.mostRedirects {
            let isOurs = Self.origin(request.url) == Self.origin(endpoint.root)
            request.headers = [("User-Agent", registry.options.userAgent), ("Expect", "")] + call.headers
            if isOurs {
                request.headers += endpoint.headers.filter { $0.key.lowercased() != "authorization" }
                    .map { ($0.key, $0.value) }
                // Whoever else a redirect leads to must not be shown it.
                if let authorization { request.headers.append(("Authorization", authorization)) }
            }
            request.tls = isOurs ? endpoint.tls : TLSOptions(authorities: endpoint.tls.authorities)
            let collected = ErrorText(limit: Self.longestErrorInBytes)
            let head = try client.perform(request, sent: sent) { head, bytes in
                if (200..<300).contains(head.status) { try sink(head, bytes) } else { try collected.append(bytes) }
            }
            guard [301, 302, 303, 307, 308].contains(head.status), let location = head.first("location") else {
                return (head, collected.bytes)
            }
            guard let next = URL(string: location, relativeTo: URL(string: request.url))?.absoluteString,
                next.hasPrefix("https://") || next.hasPrefix("http://")
            else {
                throw RegistryError(
                    .invalid,
                    "\(endpoint.authority) redirects \(call.what) to \"\(location.printable)\", which is no address")
            }
            guard next.hasPrefix("https://") || request.url.hasPrefix("http://") else {
                throw RegistryError(
                    .invalid,
                    "\(endpoint.authority) redirects \(call.what) from HTTPS to plain HTTP "
                        + "(\(Endpoint.authority(of: next).printable)), which anybody on the way could change")
            }
            request.url = next
        }
        throw RegistryError(
            .invalid, "\(endpoint.authority) redirects \(call.what) more than \(Self.mostRedirects) times")
    }

    /// Scheme, host and port, as one.
    static func origin(_ url: String) -> String {
        let scheme = url.prefix { $0 != ":" }.lowercased()
        var authority = Endpoint.authority(of: url).lowercased()
        let port = scheme == "https" ? ":443" : ":80"
        if authority.hasSuffix(port) { authority.removeLast(port.count) }
        return "\(scheme)://\(authority)"
    }

    private final class ErrorText {
        var bytes: [UInt8] = []
        let limit: Int
        init(limit: Int) { self.limit = limit }
        func append(_ more: UnsafeRawBufferPointer) throws(HTTPClient.Enough) {
            bytes += more.prefix(limit - bytes.count)
            if bytes.count == limit { throw HTTPClient.Enough() }
        }
    }
}

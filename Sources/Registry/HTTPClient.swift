import CCurl
import Glibc
import System

/// How to know the other side, and be known to it.
struct TLSOptions: Sendable, Equatable {
    /// PEM certificates to trust besides the system's.
    var authorities: [UInt8] = []
    /// Files in PEM.
    var clientCertificate: String?
    var clientKey: String?
    var verifies = true
}

struct HTTPRequest {
    enum Body {
        case none
        case bytes([UInt8])
        /// So many bytes of a file.
        case file(FileDescriptor, size: Int64)
    }

    var method = "GET"
    var url: String
    var headers: [(name: String, value: String)] = []
    var body = Body.none
    var tls = TLSOptions()
}

/// An answer's status and fields.
struct HTTPHead {
    var status = 0
    /// By names in lower case; in the order they came.
    var fields: [String: [String]] = [:]

    func first(_ name: String) -> String? { fields[name]?.first }
}

/// An HTTP client with connections of its own, by libcurl: proxies by the usual variables, HTTP/2 where it is offered. For
/// one thread. Redirects are left to the caller.
final class HTTPClient {
    enum Failure: Error, Equatable {
        case unreachable(String)
        /// The other side speaks no TLS.
        case notTLS(String)
        case untrusted(String)
        case interrupted(String)
        case other(String)
    }

    /// Thrown by whoever takes a body: what came is enough, and the transfer ends there.
    struct Enough: Error {}

    private let client: OpaquePointer

    static let connectSeconds = 30
    /// Slower than this for so long is as good as nothing.
    static let slowest = (bytesPerSecond: 256, seconds: 60)
    /// More than any registry says of an answer.
    static let longestHeadInBytes = 256 << 10

    /// - Throws: `RegistryError` when libcurl is not there.
    init() throws(RegistryError) {
        var reason: UnsafePointer<CChar>?
        guard let client = cc_client_new(&reason) else {
            let why = reason.map { String(cString: $0) } ?? ""
            throw RegistryError(
                .other,
                "registries are spoken to by libcurl, which cannot be used (\(why)); install it (Debian: libcurl4)")
        }
        self.client = client
    }

    deinit { cc_client_free(client) }

    private final class Exchange {
        var head = HTTPHead()
        var headBytes = 0
        var thrown: (any Error)?
        let body: (HTTPHead, UnsafeRawBufferPointer) throws -> Void
        let sent: (Int64) -> Void
        init(
            _ body: @escaping (HTTPHead, UnsafeRawBufferPointer) throws -> Void, _ sent: @escaping (Int64) -> Void
        ) {
            self.body = body
            self.sent = sent
        }

        func line(_ text: Substring) -> Bool {
            headBytes += text.utf8.count
            guard headBytes <= HTTPClient.longestHeadInBytes else {
                thrown = Failure.other("its answer's head is longer than \(HTTPClient.longestHeadInBytes) bytes")
                return false
            }
            // Another answer's head: of a proxy, or after "100 Continue".
            if text.hasPrefix("HTTP/") {
                head = HTTPHead()
                head.status = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
            } else if let colon = text.firstIndex(of: ":") {
                let value = text[text.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
                head.fields[text[..<colon].lowercased(), default: []].append(
                    String(value.prefix { $0 != "\r" && $0 != "\n" && $0 != "\r\n" }))
            }
            return true
        }
    }

    /// Sends a request and waits for the whole answer.
    /// - Parameters:
    ///   - sent: told how much of the request's body is gone.
    ///   - body: gets the answer's body as it comes; what it throws ends the transfer.
    /// - Throws: `Failure`, or what `body` threw but `Enough`.
    func perform(
        _ request: HTTPRequest, sent: @escaping (Int64) -> Void = { _ in },
        body: @escaping (HTTPHead, UnsafeRawBufferPointer) throws -> Void
    ) throws -> HTTPHead {
        let exchange = Exchange(body, sent)
        let result = withExtendedLifetime(exchange) { perform(request, exchange) }
        if exchange.thrown is Enough { return exchange.head }
        if let thrown = exchange.thrown { throw thrown }
        let message = withUnsafeBytes(of: result.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        switch result.outcome {
        case CC_DONE: return exchange.head
        case CC_UNREACHABLE: throw Failure.unreachable(message)
        case CC_NOT_TLS: throw Failure.notTLS(message)
        case CC_UNTRUSTED: throw Failure.untrusted(message)
        case CC_INTERRUPTED: throw Failure.interrupted(message)
        default: throw Failure.other(message)
        }
    }

    private func perform(_ request: HTTPRequest, _ exchange: Exchange) -> cc_result {
        var raw = cc_request()
        raw.verify_peer = request.tls.verifies
        raw.slowest_bytes_per_second = Self.slowest.bytesPerSecond
        raw.slow_seconds = Self.slowest.seconds
        raw.connect_seconds = Self.connectSeconds
        raw.body_size = -1
        raw.context = Unmanaged.passUnretained(exchange).toOpaque()
        raw.on_header = { context, line, length in
            guard let exchange = HTTPClient.exchange(context), let line else { return false }
            let bytes = UnsafeRawBufferPointer(start: line, count: length)
            return exchange.line(Substring(decoding: bytes, as: UTF8.self))
        }
        raw.on_body = { context, bytes, count in
            guard let exchange = HTTPClient.exchange(context) else { return false }
            do { try exchange.body(exchange.head, UnsafeRawBufferPointer(start: bytes, count: count)) } catch {
                exchange.thrown = error
                return false
            }
            return true
        }
        raw.on_sent = { context, count in HTTPClient.exchange(context)?.sent(count) }

        // What the pointers point at lives until the end of this function.
        var strings: [UnsafeMutablePointer<CChar>] = []
        defer { for string in strings { free(string) } }
        func keep(_ text: String) -> UnsafePointer<CChar>? {
            guard let copy = strdup(text) else { return nil }
            strings.append(copy)
            return UnsafePointer(copy)
        }
        raw.method = keep(request.method)
        raw.url = keep(request.url)
        raw.client_certificate = request.tls.clientCertificate.flatMap(keep)
        raw.client_key = request.tls.clientKey.flatMap(keep)
        let headers = request.headers.map { keep("\($0.name): \($0.value)") }
        var content: [UInt8] = []
        switch request.body {
        case .none: break
        case .bytes(let bytes):
            content = bytes
            raw.body_size = Int64(bytes.count)
        case .file(let file, let size):
            raw.body_file = file.raw
            raw.body_size = size
        }
        return headers.withUnsafeBufferPointer { headers in
            request.tls.authorities.withUnsafeBufferPointer { authorities in
                content.withUnsafeBufferPointer { content in
                    raw.headers = headers.baseAddress
                    raw.header_count = headers.count
                    raw.authorities = authorities.isEmpty ? nil : authorities.baseAddress
                    raw.authorities_length = authorities.count
                    raw.body = content.isEmpty ? nil : content.baseAddress
                    return cc_perform(client, &raw)
                }
            }
        }
    }

    private static func exchange(_ context: UnsafeMutableRawPointer?) -> Exchange? {
        context.map { Unmanaged<Exchange>.fromOpaque($0).takeUnretainedValue() }
    }
}

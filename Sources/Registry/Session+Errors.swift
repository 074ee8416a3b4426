import OCISpec

extension Session {
    /// What a registry says of an error (distribution-spec, "Error Codes").
    private struct Refusal: Decodable {
        struct Item: Decodable {
            var code: String?
            var message: String?
        }
        var errors: [Item]
    }

    func explain(_ failure: HTTPClient.Failure, _ endpoint: Endpoint, _ call: Call) -> RegistryError {
        let host = endpoint.authority
        switch failure {
        case .unreachable(let why):
            return RegistryError(
                .unreachable,
                "\(host) cannot be reached for \(call.what): \(why.printable); see that its name is right, that "
                    + "it runs, and whether a proxy is needed (HTTPS_PROXY)")
        case .notTLS(let why):
            return RegistryError(
                .other,
                "\(host) does not speak TLS (\(why.printable)); if it is to be trusted without, say --plain-http")
        case .untrusted(let why):
            return RegistryError(
                .other,
                "\(host) is not trusted: \(why.printable); put the certificate of its authority at "
                    + "/etc/cloister/certs.d/\(registry.domain)/ca.crt")
        case .interrupted(let why):
            return RegistryError(
                .temporary(after: nil), "\(host) was interrupted while it sent \(call.what): \(why.printable)")
        case .other(let why):
            return RegistryError(.other, "\(host) cannot be asked for \(call.what): \(why.printable)")
        }
    }

    func refusal(_ head: HTTPHead, _ body: [UInt8], _ endpoint: Endpoint, _ call: Call) -> RegistryError {
        let host = endpoint.authority
        let items = (try? OCIJSON.decode(Refusal.self, from: body))?.errors ?? []
        let words = items.compactMap { $0.message ?? $0.code }.joined(separator: "; ").printable
        let said = words.isEmpty ? "" : " (\(words))"
        let isKnown = (try? registry.credentials(endpoint, call.repository)) ?? nil != nil
        switch head.status {
        case 401 where call.isLogin, 403 where call.isLogin:
            return RegistryError(.unauthorized, "\(host) does not take this name and password\(said)")
        case 401, 403:
            let remedy =
                isKnown
                ? "who you are logged in as may not, or it does not exist; \"cloister login \(registry.domain)\" logs in as "
                    + "somebody else"
                : "it does not exist or needs a login: \"cloister login \(registry.domain)\""
            return RegistryError(.unauthorized, "\(host) refuses \(call.what)\(said): \(remedy)")
        case 404: return RegistryError(.notFound, "\(host) has no \(call.what)\(said)")
        case 408, 429, 500, 502, 503, 504:
            let after = head.first("retry-after").flatMap { Int($0) }.map { max($0, 0) }
            let why = head.status == 429 ? "has had too many requests" : "answered \(head.status)"
            return RegistryError(.temporary(after: after), "\(host) \(why) when asked for \(call.what)\(said)")
        default:
            return RegistryError(.other, "\(host) answered \(head.status) when asked for \(call.what)\(said)")
        }
    }
}

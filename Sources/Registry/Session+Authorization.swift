import FoundationEssentials
import OCISpec
import System

extension Session {
    private static let longestTokenInBytes = 1 << 20

    /// What an endpoint wants to see before it answers.
    /// - Returns: the `Authorization` field; nil when there is nothing more to try.
    func authorize(_ endpoint: Endpoint, _ challenges: [Challenge], _ call: Call) throws -> String? {
        let credentials = try registry.credentials(endpoint, call.repository)
        if let bearer = challenges.first(where: { $0.scheme == "bearer" && $0.parameters["realm"] != nil }) {
            return "Bearer " + (try token(endpoint, bearer, credentials, call))
        }
        if challenges.contains(where: { $0.scheme == "basic" }) { return credentials?.basic }
        return nil
    }

    private struct Token: Decodable {
        var token: String?
        var access_token: String?
    }

    /// A token from whom the registry trusts (distribution, "Token Authentication Specification"; with an identity token,
    /// "OAuth 2").
    private func token(
        _ endpoint: Endpoint, _ challenge: Challenge, _ credentials: Credentials?, _ call: Call
    ) throws -> String {
        let realm = challenge.parameters["realm"] ?? ""
        guard var address = URLComponents(string: realm), let scheme = address.scheme,
            scheme == "https" || scheme == "http" && endpoint.isPlain
        else {
            throw RegistryError(
                .invalid,
                "\(endpoint.authority) sends us for a token to \"\(realm.printable)\", which is not to be trusted")
        }
        var parameters: [(String, String)] = []
        if let service = challenge.parameters["service"] { parameters.append(("service", service)) }
        let scope = challenge.parameters["scope"] ?? call.scope
        if !scope.isEmpty { parameters.append(("scope", scope)) }

        var request = HTTPRequest(url: realm, headers: [("User-Agent", registry.options.userAgent), ("Expect", "")])
        request.tls =
            Self.origin(realm) == Self.origin(endpoint.root)
            ? endpoint.tls : TLSOptions(authorities: endpoint.tls.authorities)
        if case .identityToken(let identity) = credentials {
            parameters += [("grant_type", "refresh_token"), ("refresh_token", identity), ("client_id", "cloister")]
            request.method = "POST"
            request.headers.append(("Content-Type", "application/x-www-form-urlencoded"))
            request.body = .bytes(
                Array(parameters.map { "\(Self.escape($0))=\(Self.escape($1))" }.joined(separator: "&").utf8))
        } else {
            let query = parameters.map { "\(Self.escape($0))=\(Self.escape($1))" }.joined(separator: "&")
            let given = address.percentEncodedQuery.map { $0 + "&" } ?? ""
            address.percentEncodedQuery = query.isEmpty ? address.percentEncodedQuery : given + query
            request.url = address.string ?? realm
            if let basic = credentials?.basic { request.headers.append(("Authorization", basic)) }
        }
        final class Answer { var bytes: [UInt8] = [] }
        let answer = Answer()
        let head: HTTPHead
        do {
            head = try client.perform(request) { _, bytes in
                guard answer.bytes.count + bytes.count <= Self.longestTokenInBytes else {
                    throw RegistryError(.invalid, "\(realm.printable) answers with more than a token")
                }
                answer.bytes += bytes
            }
        } catch let failure as HTTPClient.Failure { throw explain(failure, Endpoint(root: realm), call) }
        guard head.status == 200 else { throw refusal(head, answer.bytes, endpoint, call) }
        guard let parsed = try? OCIJSON.decode(Token.self, from: answer.bytes),
            let token = [parsed.token, parsed.access_token].compactMap({ $0 }).first(where: { !$0.isEmpty }),
            token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else { throw RegistryError(.invalid, "\(realm.printable) answers without a token") }
        return token
    }

    /// For a query or form (RFC 3986, 2.3).
    static func escape(_ text: String) -> String {
        text.utf8.map { byte in
            let character = Character(Unicode.Scalar(byte))
            let isPlain = byte < 0x80 && (character.isLetter || character.isNumber || "-._~".contains(character))
            return isPlain ? String(character) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }.joined()
    }
}

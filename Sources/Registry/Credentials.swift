import FoundationEssentials

/// What one shows a registry.
public enum Credentials: Equatable, Sendable {
    case password(user: String, password: String)
    /// Exchanged for access tokens (Docker's `identitytoken`, OAuth 2's refresh token).
    case identityToken(String)

    /// The value of an `Authorization` field (RFC 7617); nil for a token, which only its issuer takes.
    var basic: String? {
        guard case .password(let user, let password) = self else { return nil }
        return "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
    }
}

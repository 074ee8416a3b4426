import Glibc
import System
import Testing

@testable import Registry

@Suite struct CredentialFileTests {
    private func found(_ text: String, _ domain: String, _ repository: String? = nil) throws -> Credentials? {
        let path = "/tmp/cloister-credentials-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try Files.write(path, text)
        defer { unlink(path) }
        return try CredentialFile(path: path).credentials(for: domain, repository: repository)
    }

    private static let anna = Credentials.password(user: "anna", password: "pa:ss")

    /// `YW5uYTpwYTpzcw==` is `anna:pa:ss`.
    @Test(
        arguments: [
            ("{}", "example.com", nil), ("", "example.com", nil),
            (#"{"auths": {"example.com": {"auth": "YW5uYTpwYTpzcw=="}}}"#, "example.com", anna),
            (#"{"auths": {"example.com": {"auth": "YW5uYTpwYTpzcw=="}}}"#, "example.com:5000", nil),
            (#"{"auths": {"https://example.com": {"auth": "YW5uYTpwYTpzcw=="}}}"#, "example.com", anna),
            (#"{"auths": {"https://index.docker.io/v1/": {"auth": "YW5uYTpwYTpzcw=="}}}"#, "docker.io", anna),
            (#"{"auths": {"docker.io": {"auth": "YW5uYTpwYTpzcw=="}}}"#, "docker.io", anna),
            (#"{"auths": {"example.com": {"username": "anna", "password": "pa:ss"}}}"#, "example.com", anna),
            (#"{"auths": {"example.com": {"auth": "", "identitytoken": "t"}}}"#, "example.com", .identityToken("t")),
            (#"{"auths": {"example.com": {}}}"#, "example.com", nil),
        ] as [(String, String, Credentials?)])
    func isRead(_ text: String, _ domain: String, _ expected: Credentials?) throws {
        #expect(try found(text, domain) == expected)
    }

    @Test func theClosestPartOfARegistryCounts() throws {
        let text = """
            {"auths": {"example.com": {"auth": "YTpi"}, "example.com/team": {"auth": "YW5uYTpwYTpzcw=="}}}
            """
        #expect(try found(text, "example.com", "team/tool") == Self.anna)
        #expect(try found(text, "example.com", "other/tool") == .password(user: "a", password: "b"))
    }

    @Test(arguments: [
        ("[]", "is not a JSON object"), ("{", "is not valid JSON"),
        (#"{"auths": {"example.com": {"auth": "%"}}}"#, "cannot be read; log in again"),
        (#"{"credsStore": "there-is-none"}"#, "docker-credential-there-is-none is not on PATH"),
        (#"{"credsStore": "../../bin/sh"}"#, "is not on PATH"),
    ])
    func whatIsWrongIsNamed(_ text: String, _ words: String) {
        let error = #expect(throws: RegistryError.self) { try found(text, "example.com") }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test(
        arguments: [
            (["REGISTRY_AUTH_FILE": "/a", "HOME": "/h"], "/a", []),
            (["DOCKER_CONFIG": "/d", "HOME": "/h"], "/d/config.json", []),
            (["HOME": "/h", "XDG_RUNTIME_DIR": "/r"], "/h/.docker/config.json", ["/r/containers/auth.json"]),
            (["XDG_RUNTIME_DIR": "/r"], "/r/containers/auth.json", []), ([:], nil, []),
        ] as [([String: String], String?, [String])])
    func isWhereOthersHaveIt(_ environment: [String: String], _ path: String?, _ others: [String]) {
        let file = CredentialFile.standard { environment[$0] }
        #expect(file?.path == path)
        #expect(file?.others ?? [] == others)
    }

    @Test(arguments: [
        ("a b", "a%20b"), ("repository:a/b:pull,push", "repository%3Aa%2Fb%3Apull%2Cpush"), ("é~", "%C3%A9~"),
    ])
    func queriesAreEscaped(_ text: String, _ expected: String) {
        #expect(Session.escape(text) == expected)
    }

    @Test(arguments: [
        ("https://Example.com:443/a", "https://example.com"), ("http://a:80", "http://a"),
        ("https://a:80/x?y", "https://a:80"),
    ])
    func originsAreCompared(_ url: String, _ expected: String) { #expect(Session.origin(url) == expected) }
}

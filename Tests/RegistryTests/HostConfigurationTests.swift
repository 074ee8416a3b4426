import Glibc
import System
import Testing

@testable import Registry

@Suite struct HostConfigurationTests {
    private let directory: String

    init() throws {
        directory = "/tmp/cloister-hosts-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try Files.makeDirectories(directory)
    }

    private func endpoints(_ domain: String, _ toml: String, plain: Bool = false) throws -> [Endpoint] {
        defer { try? Files.removeTree(directory) }
        try Files.makeDirectories("\(directory)/\(domain)")
        try Files.write("\(directory)/\(domain)/hosts.toml", toml)
        return try HostConfiguration(directories: ["/nowhere", directory]).endpoints(for: domain, plain: plain)
    }

    @Test(arguments: [
        ("docker.io", false, "https://registry-1.docker.io/v2", false),
        ("example.com", false, "https://example.com/v2", false),
        ("localhost:5000", false, "https://localhost:5000/v2", true),
        ("127.0.0.1", false, "https://127.0.0.1/v2", true),
        ("[::1]:5000", false, "https://[::1]:5000/v2", true),
        ("127.example.com", false, "https://127.example.com/v2", false),
        ("example.com:5000", true, "http://example.com:5000/v2", false),
    ])
    func withoutConfiguration(_ domain: String, _ plain: Bool, _ root: String, _ mayBePlain: Bool) throws {
        defer { try? Files.removeTree(directory) }
        let found = try HostConfiguration(directories: [directory]).endpoints(for: domain, plain: plain)
        #expect(found.map(\.root) == [root])
        #expect(found.map(\.mayBePlain) == [mayBePlain])
    }

    @Test func mirrorsComeInTheirOrder() throws {
        let found = try endpoints(
            "docker.io",
            """
            server = "https://registry-1.docker.io"
            [host."https://z.example:5000"]
            capabilities = ["pull", "resolve"]
            [host."http://a.example/some/path"]
            skip_verify = true
            override_path = true
            [host."https://m.example"]
            [host."https://m.example".header]
            Authorization = "Basic YTpi"
            """)
        #expect(
            found.map(\.root) == [
                "https://z.example:5000/v2", "http://a.example/some/path", "https://m.example/v2",
                "https://registry-1.docker.io/v2",
            ])
        #expect(found.map(\.mirrors) == ["docker.io", "docker.io", "docker.io", nil])
        #expect(found.map(\.pushes) == [false, false, false, true])
        #expect(found.map(\.tls.verifies) == [true, false, true, true])
        #expect(found[2].headers == ["Authorization": "Basic YTpi"])
    }

    @Test func theServerItselfIsConfigured() throws {
        let found = try endpoints(
            "example.com", "server = \"http://example.com:8080/\"\ncapabilities = [\"pull\"]\n")
        #expect(found.map(\.root) == ["http://example.com:8080/v2"])
        #expect(found[0].pulls && !found[0].resolves && !found[0].pushes)
    }

    @Test(arguments: [
        ("server = 3", "line 1: server is not known here, or not of the right kind"),
        ("server = \"example.com\"", "line 1: server must be an address such as https://example.com"),
        ("\n[host.\"ftp://x\"]\nskip_verify = true", "line 3: \"ftp://x\" is not an address"),
        ("[host.\"https://x\"]\nskip_verify = 1", "line 2: skip_verify is not known here"),
        ("[host.\"https://x\"]\nca = \"/nowhere/ca.crt\"", "the certificate /nowhere/ca.crt cannot be read"),
        ("[host.\"https://x\"]\nclient = [[\"a\", \"b\"]]", "line 2: client must be one file"),
        ("= 3", "line 1: this is not TOML"),
    ])
    func whatIsWrongIsNamed(_ toml: String, _ words: String) throws {
        let error = #expect(throws: RegistryError.self) { try endpoints("example.com", toml) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
}

import Testing

@testable import ImageStore

@Suite struct ImageReferenceTests {
    static let hex = String(repeating: "0123456789abcdef", count: 4)

    @Test(
        arguments: [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("alpine:3.19", "docker.io/library/alpine:3.19", "alpine:3.19"),
            ("user/app", "docker.io/user/app:latest", "user/app:latest"),
            ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("index.docker.io/a/b:c", "docker.io/a/b:c", "a/b:c"),
            ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
            ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
            ("quay.io/a/b/c:X_y.Z-1", "quay.io/a/b/c:X_y.Z-1", "quay.io/a/b/c:X_y.Z-1"),
            ("Registry/app", "Registry/app:latest", "Registry/app:latest"),
            ("a__b/c---d.e_f", "docker.io/a__b/c---d.e_f:latest", "a__b/c---d.e_f:latest"),
            ("a@sha256:\(hex)", "docker.io/library/a@sha256:\(hex)", "a@sha256:\(hex)"),
            ("a:b@sha256:\(hex)", "docker.io/library/a:b@sha256:\(hex)", "a:b@sha256:\(hex)"),
            ("x.y/\(String(repeating: "a", count: 251))", "x.y/\(String(repeating: "a", count: 251)):latest", nil),
        ] as [(String, String, String?)])
    func accepts(_ text: String, _ full: String, _ familiar: String?) throws {
        let reference = try ImageReference(text)
        #expect(reference.description == full)
        if let familiar { #expect(reference.familiar == familiar) }
        #expect(try ImageReference(reference.description) == reference)
        #expect(try ImageReference(reference.familiar) == reference)
    }

    @Test(arguments: [
        "", ":", "a:", ":a", "a b", "A", "a/B", "a..b", "a___b", "a_-b", "-a", "a-", ".a", "a/", "/a", "a//b", "a:-x",
        "a:b:c", "a@", "a@sha256:12", "a@md5:\(hex)", "a@sha256:\(hex.uppercased())", hex, "http://a/b", "-.x/a",
        "x.y:port/a", "a.b:/c", "[::1/a", "a:\(String(repeating: "t", count: 129))", "ü",
        "x.y/\(String(repeating: "a", count: 252))", "a\u{0}b", "a\n", "../a",
    ])
    func refuses(_ text: String) {
        #expect(throws: ImageError.self) { try ImageReference(text) }
    }
}

import Testing

@testable import Registry

@Suite struct ChallengeTests {
    @Test(arguments: [
        (
            ["Bearer realm=\"https://auth.example.com/token\",service=\"registry\",scope=\"repository:a/b:pull,push\""],
            [
                Challenge(
                    scheme: "bearer",
                    parameters: [
                        "realm": "https://auth.example.com/token", "service": "registry",
                        "scope": "repository:a/b:pull,push",
                    ])
            ]
        ),
        (
            ["Basic realm=\"a \\\"quoted\\\" one\""],
            [Challenge(scheme: "basic", parameters: ["realm": "a \"quoted\" one"])]
        ),
        (
            ["Negotiate, Basic realm=x, charset=\"UTF-8\""],
            [
                Challenge(scheme: "negotiate"),
                Challenge(scheme: "basic", parameters: ["realm": "x", "charset": "UTF-8"]),
            ]
        ),
        (
            ["BASIC", "bearer REALM = \"r\""],
            [Challenge(scheme: "basic"), Challenge(scheme: "bearer", parameters: ["realm": "r"])]
        ),
        ([""], []), (["=,=\"", "\u{7f}"], []),
        (["Bearer realm=\"unfinished"], [Challenge(scheme: "bearer", parameters: ["realm": "unfinished"])]),
    ])
    func isRead(_ fields: [String], _ expected: [Challenge]) {
        #expect(Challenge.parse(fields) == expected)
    }
}

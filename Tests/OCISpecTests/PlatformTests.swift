import Testing

@testable import OCISpec

@Suite struct PlatformTests {
    @Test(arguments: [
        ("linux/amd64", "linux/amd64"), ("linux/arm64", "linux/arm64"), ("linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm/v7", "linux/arm/v7"), ("linux/arm/7", "linux/arm/v7"), ("LINUX/ARM64", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"), ("linux/x86_64", "linux/amd64"), ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"), ("arm64", "linux/arm64"), ("riscv64", "linux/riscv64"),
        ("linux", Platform.guest.description), ("windows/amd64", "windows/amd64"), ("macos/arm64", "darwin/arm64"),
        ("linux/sparc64", "linux/sparc64"),
    ])
    func isRead(_ text: String, _ expected: String) {
        #expect(Platform(text)?.description == expected)
    }

    @Test(arguments: [
        "", "/", "linux/", "/arm64", "linux/arm/v7/x", "arn64", "linux arm64", "linux/ä", "linux//v7", "a=b",
    ])
    func isRefused(_ text: String) {
        #expect(Platform(text) == nil)
    }

    /// What is wanted, what there is, best first, and what does not do.
    @Test(
        arguments: [
            ("linux/amd64", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v3"], ["linux/386", "windows/amd64"]),
            (
                "linux/amd64/v3", ["linux/amd64/v3", "linux/amd64/v2", "linux/amd64"],
                ["linux/amd64/v4", "linux/arm64"]
            ),
            ("linux/arm64", ["linux/arm64/v8", "linux/arm64/v9"], ["linux/arm/v7"]),
            ("linux/arm", ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5", "linux/arm/v8"], ["linux/arm64"]),
            ("linux/arm/v7", ["linux/arm", "linux/arm/v6"], ["linux/arm/v8"]),
            ("linux/arm/v6", ["linux/arm/v6", "linux/arm/v5"], ["linux/arm", "linux/arm/v7"]),
            ("linux/ppc64le", ["linux/ppc64le", "linux/ppc64le/power9"], ["linux/ppc64"]),
            ("linux/ppc64le/power9", ["linux/ppc64le/power9"], ["linux/ppc64le", "linux/ppc64le/power10"]),
        ] as [(String, [String], [String])])
    func distances(_ wanted: String, _ good: [String], _ bad: [String]) throws {
        let wanted = try #require(Platform(wanted))
        let ranks = try good.map { wanted.distance(to: try #require(Platform($0))) ?? -1 }
        #expect(ranks == ranks.sorted() && ranks[0] == 0 && Set(ranks).count == ranks.count, "\(ranks)")
        for other in bad { #expect(wanted.distance(to: try #require(Platform(other))) == nil) }
    }

    /// Whoever writes a variant, of whatever kind, gets an answer and no trap.
    @Test(arguments: ["v", "v-1", "v99999999999999999999", "7", "vv7", "\u{0}", "v 7"])
    func oddVariants(_ variant: String) {
        let odd = Platform(architecture: "arm", os: "linux", variant: variant)
        #expect((odd.distance(to: odd) ?? -1) == 0)
        _ = Platform(architecture: "arm", os: "linux").distance(to: odd)
    }
}

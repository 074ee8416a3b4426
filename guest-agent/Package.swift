// swift-tools-version: 6.0
import PackageDescription

// The guest's PID 1. A package of its own because it is linked statically and without Foundation, Dispatch and Swift's
// concurrency: `./build OUTPUT` does that. `swift build` and `swift test` here link dynamically, for tests on the host.

let package = Package(
    name: "guest-agent",
    products: [.executable(name: "cloister-agent", targets: ["cloister-agent"])],
    dependencies: [.package(name: "cloister", path: "..")],
    targets: [
        .target(name: "CAgent"),
        .target(
            name: "AgentCore",
            dependencies: ["CAgent", "LayerUnpack", .product(name: "AgentAPI", package: "cloister")]),
        .target(
            name: "CLayerUnpack",
            linkerSettings: ["archive", "z", "zstd", "lzma", "nettle"].map { .linkedLibrary($0) }),
        .target(
            name: "LayerUnpack", dependencies: ["CLayerUnpack", .product(name: "AgentAPI", package: "cloister")]),
        .executableTarget(name: "cloister-agent", dependencies: ["AgentCore", "CAgent"]),
        .testTarget(name: "AgentCoreTests", dependencies: ["AgentCore", "CAgent"]),
        .testTarget(
            name: "LayerUnpackTests",
            dependencies: ["LayerUnpack", "CLayerUnpack", .product(name: "AgentAPI", package: "cloister")],
            exclude: ["layers.py"]),
    ],
    swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.0
import PackageDescription

// Rooms and who may know whom: docs/architecture.md. A target lists exactly what it may import.

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(name: "\(name)Tests", dependencies: [.byName(name: name)] + dependencies, exclude: excluded[name] ?? [])
}

/// Files of a test target that are not Swift: oracles and corpora.
let excluded: [String: [String]] = ["Protobuf": ["oracle.py"]]

let package = Package(
    name: "cloister",
    products: [
        // What the guest agent, a package of its own, is built on. None of these imports Foundation.
        .library(name: "AgentAPI", targets: ["AgentAPI", "TTRPC", "Protobuf", "System"])
    ],
    targets: [
        // Wire and system: no Foundation here.
        .target(name: "CSystem"),
        room("System", ["CSystem"]),
        room("Protobuf"),
        room("TTRPC", ["Protobuf", "System"]),
        room("AgentAPI", ["Protobuf", "TTRPC"]),
        room("ContainerdAPI", ["Protobuf", "TTRPC"]),

        // The engine.
        room("OCISpec"),
        .target(name: "CVsock"),
        room("Vsock", ["CVsock", "CSystem", "System"]),
        .systemLibrary(name: "CLibvirt", pkgConfig: "libvirt", providers: [.apt(["libvirt-dev"])]),
        room("Acceleration", ["System"]),
        room("Hypervisor", ["Acceleration", "CLibvirt", "CSystem", "System"]),
        room("Storage", ["CSystem", "System"]),
        .systemLibrary(name: "CNetlink", pkgConfig: "libnl-route-3.0", providers: [.apt(["libnl-route-3-dev"])]),
        .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        room("Network", ["AgentAPI", "CNetlink", "CSystem", "System"]),
        room(
            "Sandbox",
            [
                "AgentAPI", "CSeccomp", "CSystem", "Hypervisor", "Network", "OCISpec", "Storage", "System", "TTRPC",
                "Vsock",
            ]),

        // The doors.
        .target(name: "CToml"),
        room("TOML", ["CToml"]),
        room("Config", ["TOML", "System"]),
        room(
            "ContainerdShim",
            [
                "AgentAPI", "CCrypto", "Config", "ContainerdAPI", "CSystem", "Hypervisor", "OCISpec", "Protobuf",
                "Sandbox", "SandboxClient", "System", "TTRPC",
            ]),
        room("SandboxClient", ["TTRPC", "Protobuf", "ContainerdAPI", "System", "CSystem"]),
        .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        // Loaded at run time: only its headers are needed to build.
        .target(name: "CCurl", linkerSettings: [.linkedLibrary("dl")]),
        room("Registry", ["CCurl", "OCISpec", "System", "TOML"]),
        room("ImageStore", ["CArchive", "CCrypto", "OCISpec", "Registry", "Storage", "System"]),
        room(
            "CloisterCommands",
            [
                "Acceleration", "AgentAPI", "CSystem", "Config", "ContainerdAPI", "ImageStore", "OCISpec",
                "Registry", "SandboxClient", "Storage", "System",
            ]),
        .executableTarget(name: "cloister", dependencies: ["CloisterCommands"]),
        .executableTarget(
            name: "FuzzWire", dependencies: ["AgentAPI", "ContainerdAPI", "TTRPC", "Protobuf", "System"],
            path: "Fuzz/wire", exclude: ["corpus"]
        ),
        .executableTarget(name: "containerd-shim-cloister-v2", dependencies: ["ContainerdShim"]),

        tests("System"),
        tests("Protobuf", ["System"]),
        tests("TTRPC", ["Protobuf", "System"]),
        tests("OCISpec"),
        tests("Storage", ["System"]),
        tests("Registry", ["System"]),
        tests("ImageStore", ["OCISpec", "Registry", "Storage", "System"]),
        tests("CloisterCommands", ["CSystem", "Config", "OCISpec", "System"]),
        tests("Config", ["System"]),
        tests("Sandbox", ["AgentAPI", "CSystem", "OCISpec", "Storage", "System", "Vsock", "VsockDriver"]),
        tests(
            "ContainerdShim",
            ["AgentAPI", "Config", "ContainerdAPI", "OCISpec", "Protobuf", "Sandbox", "System", "TTRPC"]),
        // The vsock device's other half, in process: for its tests and its fuzzer.
        .target(name: "CVsockDriver", path: "Tests/CVsockDriver"),
        .target(
            name: "VsockDriver", dependencies: ["Vsock", "CVsock", "CVsockDriver", "CSystem", "System"],
            path: "Tests/VsockDriver"),
        tests("Vsock", ["VsockDriver", "System"]),
        .executableTarget(
            name: "FuzzVsock", dependencies: ["Vsock", "VsockDriver", "System"], path: "Fuzz/vsock", exclude: ["corpus"]
        ),
        tests("Network", ["AgentAPI", "CSystem", "System"]),
        tests("Hypervisor", ["Acceleration", "System"]),
        tests("SandboxClient", ["System"]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)

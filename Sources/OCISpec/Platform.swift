/// What an image runs on, in Go's names (image-index.md).
public struct Platform: Codable, Equatable, Sendable, CustomStringConvertible {
    public var architecture: String
    public var os: String
    public var variant: String?

    public init(architecture: String, os: String, variant: String? = nil) {
        self.architecture = architecture
        self.os = os
        self.variant = variant
    }

    /// As people write it: `OS/ARCHITECTURE[/VARIANT]`, or an architecture or system alone, which is Linux's or this
    /// machine's; other programs' names of architectures are known (`aarch64`). nil for anything else.
    public init?(_ text: String) {
        let parts = text.lowercased().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let isPlain = parts.allSatisfy { part in
            !part.isEmpty
                && part.utf8.allSatisfy { byte in
                    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "_.-".utf8.contains(byte)
                }
        }
        guard isPlain, (1...3).contains(parts.count) else { return nil }
        if parts.count == 1, Self.systems.contains(parts[0]) {
            self = Platform(architecture: Platform.guest.architecture, os: parts[0])
            return
        }
        let name = parts.count == 1 ? parts[0] : parts[1]
        // A word alone may be a slip of the pen; with its system it says what it is.
        guard parts.count > 1 || Self.architectures.contains(name) || Self.others[name] != nil else { return nil }
        let known = Self.others[name] ?? (name, nil)
        let variant = parts.count == 3 ? parts[2] : known.variant
        os = parts.count == 1 ? Platform.guest.os : parts[0] == "macos" ? "darwin" : parts[0]
        architecture = known.architecture
        self.variant = variant.map { $0.allSatisfy(\.isNumber) ? "v" + $0 : $0 }
    }

    private static let systems: Set = ["linux", "windows", "darwin", "freebsd"]
    private static let architectures: Set = [
        "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
        "riscv64",
        "s390x", "wasm",
    ]
    private static let others: [String: (architecture: String, variant: String?)] = [
        "x86_64": ("amd64", nil), "x86-64": ("amd64", nil), "aarch64": ("arm64", nil), "i386": ("386", nil),
        "armhf": ("arm", "v7"), "armel": ("arm", "v6"),
    ]

    /// e.g. `linux/arm64/v8`.
    public var description: String { "\(os)/\(architecture)\(variant.map { "/" + $0 } ?? "")" }

    /// What a guest on this machine runs.
    #if arch(arm64)
    public static let guest = Platform(architecture: "arm64", os: "linux")
    #else
    public static let guest = Platform(architecture: "amd64", os: "linux")
    #endif

    /// Whether system and architecture are the same.
    public func isAlike(_ other: Platform) -> Bool { os == other.os && architecture == other.architecture }

    /// Whether a guest on this machine runs it. Variants are left to the processor.
    public var runsHere: Bool { isAlike(.guest) }

    /// How well another platform does where this one is wanted: 0 for the same, more for lesser variants, which run there
    /// too; nil for none. Who wants no variant gets the usual one, and for want of that whatever there is.
    public func distance(to other: Platform) -> Int? {
        guard isAlike(other) else { return nil }
        guard let wanted = level, let offered = other.level else {
            return variant == other.variant ? 0 : variant == nil ? 1000 : nil
        }
        if offered <= wanted { return wanted - offered }
        return variant == nil ? 1000 + offered - wanted : nil
    }

    /// The variant as a number; the usual one where none is said. nil for one that is no number, or not known here.
    private var level: Int? {
        if let variant, !variant.isEmpty {
            return Int(variant.hasPrefix("v") ? variant.dropFirst() : variant[...]).flatMap {
                (0...99).contains($0) ? $0 : nil
            }
        }
        switch architecture {
        case "amd64": return 1
        case "arm": return 7
        case "arm64": return 8
        default: return nil
        }
    }
}

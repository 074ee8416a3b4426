import Config
import Glibc

extension ByteSize: ArgumentValue {
    public init(argument: String) throws(InvalidValue) {
        guard let size = ByteSize(argument) else {
            throw InvalidValue("is not a size; write it like 512k, 64m or 1g")
        }
        self = size
    }
}

extension TimeSpan: ArgumentValue {
    public init(argument: String) throws(InvalidValue) {
        guard let span = TimeSpan(argument) else {
            throw InvalidValue("is not a length of time; write it like 30, 90s or 1m30s")
        }
        self = span
    }
}

extension Accelerator: ArgumentValue {}

/// A number of CPUs, with thousandths: `2`, `1.5`, `.25`.
public struct CPUCount: ArgumentValue, Equatable, Sendable {
    public let thousandths: Int64

    public init(argument: String) throws(InvalidValue) {
        guard let value = Double(argument), value.isFinite, value >= 0.01, value <= 1024 else {
            throw InvalidValue("is not a number of CPUs; write it like 2 or 0.5, at least 0.01")
        }
        thousandths = Int64((value * 1000).rounded())
    }

    /// What the virtual machine needs to give that much.
    public var vcpus: UInt32 { UInt32((thousandths + 999) / 1000) }
}

/// `--ulimit NAME=SOFT[:HARD]`, in setrlimit(2)'s units; -1 is no limit.
public struct Ulimit: ArgumentValue, Equatable, Sendable {
    /// As in `RLIMIT_`, lower case.
    public let name: String
    public let soft: UInt64
    public let hard: UInt64

    static let names = [
        "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
        "rttime", "sigpending", "stack",
    ]

    public init(argument: String) throws(InvalidValue) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else {
            throw InvalidValue("has no limit; write it like nofile=1024 or nofile=1024:4096")
        }
        guard Self.names.contains(parts[0]) else {
            throw InvalidValue("names no limit; there are \(Self.names.joined(separator: ", "))")
        }
        let limits = parts[1].split(separator: ":", omittingEmptySubsequences: false)
        let values = limits.compactMap { text -> UInt64? in text == "-1" ? .max : UInt64(text) }
        guard (1...2).contains(limits.count), values.count == limits.count else {
            throw InvalidValue("is not NAME=SOFT[:HARD] with whole numbers, or -1 for no limit")
        }
        name = parts[0]
        soft = values[0]
        hard = values[values.count - 1]
        guard soft <= hard else { throw InvalidValue("has a soft limit above its hard limit") }
    }
}

/// `--tmpfs PATH[:OPTIONS]`.
public struct TmpfsMount: ArgumentValue, Equatable, Sendable {
    public let path: String
    public let options: [String]

    /// Pairs of which the later one given holds.
    private static let opposites = [
        ("ro", "rw"), ("suid", "nosuid"), ("dev", "nodev"), ("exec", "noexec"), ("sync", "async"),
        ("atime", "noatime"), ("diratime", "nodiratime"), ("relatime", "norelatime"), ("strictatime", "nostrictatime"),
    ]
    private static let data = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"]

    public init(argument: String) throws(InvalidValue) {
        let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let path = parts[0]
        guard path.hasPrefix("/") else {
            throw InvalidValue("has no absolute path; write it like /tmp or /tmp:size=64m")
        }
        guard path.contains(where: { $0 != "/" }) else { throw InvalidValue("would hide the whole image") }
        guard !path.split(separator: "/").contains("..") else { throw InvalidValue("has \"..\" in its path") }
        var options = ["noexec", "nosuid", "nodev"]
        for option in parts.count == 2 ? parts[1].split(separator: ",").map(String.init) : [] {
            let name = String(option.prefix { $0 != "=" })
            if name == option, let pair = Self.opposites.first(where: { $0.0 == name || $0.1 == name }) {
                options.removeAll { $0 == pair.0 || $0 == pair.1 }
            } else if Self.data.contains(name), option.count > name.count + 1 {
                options.removeAll { $0.hasPrefix(name + "=") }
            } else {
                throw InvalidValue("has an option that tmpfs does not: \"\(option)\"")
            }
            options.append(option)
        }
        self.path = path
        self.options = options
    }
}

/// `--security-opt`.
public enum SecurityOption: ArgumentValue, Equatable, Sendable {
    case noNewPrivileges(Bool)
    case seccompUnconfined
    /// A profile's file.
    case seccomp(path: String)

    public init(argument: String) throws(InvalidValue) {
        let parts = argument.split(maxSplits: 1, omittingEmptySubsequences: false) { $0 == "=" || $0 == ":" }.map(
            String.init)
        switch (parts[0], parts.count == 2 ? parts[1] : nil) {
        case ("no-new-privileges", nil), ("no-new-privileges", "true"): self = .noNewPrivileges(true)
        case ("no-new-privileges", "false"): self = .noNewPrivileges(false)
        case ("seccomp", "unconfined"): self = .seccompUnconfined
        case ("seccomp", let path?) where !path.isEmpty: self = .seccomp(path: path)
        default:
            throw InvalidValue("is not seccomp=unconfined, seccomp=FILE or no-new-privileges[:true|false]")
        }
    }
}

/// `--timings`.
public enum TimingsFormat: String, ArgumentValue, CaseIterable, Sendable { case table, json }

/// `--network`.
public enum NetworkWish: String, ArgumentValue, Sendable {
    case none

    public init(argument: String) throws(InvalidValue) {
        guard argument == "none" else {
            throw InvalidValue("is not available: containers have no network yet, so leave --network out or say none")
        }
        self = .none
    }
}

/// A container's name: also the name of its directory.
public struct ContainerName: ArgumentValue, Equatable, Sendable {
    public let value: String
    static let longestInBytes = 64

    public init(argument: String) throws(InvalidValue) {
        let allowed = argument.utf8.allSatisfy { Character(UnicodeScalar($0)).isContainerNameCharacter }
        guard let first = argument.first, first.isASCII, first.isLetter || first.isNumber, argument.count > 1, allowed,
            argument.utf8.count <= Self.longestInBytes
        else {
            throw InvalidValue(
                "is not a name; use 2 to \(Self.longestInBytes) of the letters a-z and A-Z, digits, \"_\", \".\" and "
                    + "\"-\", beginning with a letter or digit")
        }
        value = argument
    }

    /// For a container that was given none: twelve hexadecimal digits.
    public static func random() -> String {
        let digits = String(UInt64.random(in: 0..<(1 << 48)), radix: 16)
        return String(repeating: "0", count: 12 - digits.count) + digits
    }
}

extension Character {
    fileprivate var isContainerNameCharacter: Bool { isASCII && (isLetter || isNumber || "_.-".contains(self)) }
}

/// `--hostname`.
public struct Hostname: ArgumentValue, Equatable, Sendable {
    public let value: String

    public init(argument: String) throws(InvalidValue) {
        let labels = argument.split(separator: ".", omittingEmptySubsequences: false)
        let fine = labels.allSatisfy { label in
            !label.isEmpty && label.first != "-" && label.last != "-"
                && label.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
        }
        guard fine, argument.utf8.count <= 64 else {
            throw InvalidValue("is not a host name; use up to 64 letters, digits, \"-\" and \".\"")
        }
        value = argument
    }
}

/// An image's name, by the grammar that Docker and containerd share (github.com/distribution/reference):
/// `[domain/]path[:tag][@digest]`, with Docker's defaults filled in: domain `docker.io`, `library/` before a lone name
/// there, and the tag `latest` where neither tag nor digest is given.
public struct ImageReference: Hashable, Sendable, CustomStringConvertible {
    /// e.g. `docker.io`, `localhost:5000`, `[::1]:5000`.
    public let domain: String
    /// e.g. `library/alpine`.
    public let path: String
    public let tag: String?
    public let digest: Digest?

    /// The repository: domain and path.
    public var name: String { "\(domain)/\(path)" }

    /// The whole name, by which the store keeps it.
    public var description: String { name + suffix }

    /// What comes after the repository: tag and digest.
    public var suffix: String { (tag.map { ":" + $0 } ?? "") + (digest.map { "@" + $0.description } ?? "") }

    /// As Docker shows it: without what its defaults would fill in.
    public var familiar: String {
        var short = name
        if domain == Self.defaultDomain {
            short = path.hasPrefix("library/") && !path.dropFirst(8).contains("/") ? String(path.dropFirst(8)) : path
        }
        return short + suffix
    }

    static let defaultDomain = "docker.io"
    static let longestNameInBytes = 255

    /// - Throws: `ImageError` that says which part of `text` is wrong.
    public init(_ text: String) throws(ImageError) {
        func refuse(_ why: String) -> ImageError { ImageError("\"\(text)\" is not an image name: \(why)") }
        guard !text.isEmpty else { throw refuse("it is empty") }
        guard Digest(hex: text) == nil else { throw refuse("64 hexadecimal digits are an image's id") }

        var rest = Substring(text)
        var digest: Digest?
        if let at = rest.firstIndex(of: "@") {
            let digits = String(rest[rest.index(after: at)...])
            guard let parsed = Digest(digits) else {
                throw refuse("\"\(digits)\" is not a digest; one looks like sha256: and 64 hexadecimal digits")
            }
            digest = parsed
            rest = rest[..<at]
        }
        var tag: String?
        // A colon after the last slash begins a tag; one before it, a port.
        let lastComponent = rest.lastIndex(of: "/").map(rest.index(after:)) ?? rest.startIndex
        if let colon = rest[lastComponent...].firstIndex(of: ":") {
            let candidate = String(rest[rest.index(after: colon)...])
            guard Self.isTag(candidate) else {
                throw refuse(
                    "\"\(candidate)\" is not a tag: letters, digits, _ . -, at most 128, not beginning with . or -")
            }
            tag = candidate
            rest = rest[..<colon]
        }
        var (domain, path) = Self.split(rest)
        guard Self.isDomain(domain) else { throw refuse("\"\(domain)\" is not a registry's address") }
        if domain == "index.docker.io" { domain = Self.defaultDomain }
        if domain == Self.defaultDomain && !path.contains("/") { path = "library/" + path }
        guard path == path.lowercased() else { throw refuse("a repository's name is in lower case") }
        guard !path.isEmpty,
            path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy(Self.isPathComponent)
        else { throw refuse("parts of a name are lower-case letters and digits, joined by . _ __ or -") }
        guard domain.utf8.count + 1 + path.utf8.count <= Self.longestNameInBytes else {
            throw refuse("it is longer than \(Self.longestNameInBytes) characters")
        }
        self.domain = domain
        self.path = path
        self.tag = tag ?? (digest == nil ? "latest" : nil)
        self.digest = digest
    }

    /// Whether the first component is a registry or a part of the path is told by its looks, as Docker does.
    private static func split(_ text: Substring) -> (domain: String, path: String) {
        guard let slash = text.firstIndex(of: "/") else { return (defaultDomain, String(text)) }
        let first = String(text[..<slash])
        guard first.contains(".") || first.contains(":") || first == "localhost" || first != first.lowercased() else {
            return (defaultDomain, String(text))
        }
        return (first, String(text[text.index(after: slash)...]))
    }

    /// The part of a name before its tag and digest, and these; nil where the name says its registry.
    static func short(_ text: String) -> (name: String, rest: String)? {
        let lastComponent = text.lastIndex(of: "/").map(text.index(after:)) ?? text.startIndex
        let end = text[lastComponent...].firstIndex { $0 == ":" || $0 == "@" } ?? text.endIndex
        let name = text[..<end]
        // Where there is none, the whole is the path.
        guard split(name).path == name else { return nil }
        return (String(name), String(text[end...]))
    }

    private static func isDomain(_ text: String) -> Bool {
        var host = Substring(text)
        if host.hasPrefix("[") {
            guard let end = host.firstIndex(of: "]") else { return false }
            let address = host[host.index(after: host.startIndex)..<end]
            guard !address.isEmpty, address.utf8.allSatisfy({ isHex($0) || $0 == UInt8(ascii: ":") }) else {
                return false
            }
            let port = host[host.index(after: end)...]
            return port.isEmpty || (port.first == ":" && isNumber(port.dropFirst()))
        }
        if let colon = host.firstIndex(of: ":") {
            guard isNumber(host[host.index(after: colon)...]) else { return false }
            host = host[..<colon]
        }
        return host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            guard let first = label.utf8.first, let last = label.utf8.last else { return false }
            return isAlphanumeric(first) && isAlphanumeric(last)
                && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
        }
    }

    /// Runs of lower-case letters and digits, joined by one `.`, one or two `_`, or any number of `-`.
    private static func isPathComponent(_ text: Substring) -> Bool {
        var separator: [UInt8] = []
        var sawWord = false
        for byte in text.utf8 {
            if isLowerOrDigit(byte) {
                guard separator.isEmpty || (sawWord && isSeparator(separator)) else { return false }
                separator = []
                sawWord = true
            } else {
                separator.append(byte)
            }
        }
        return sawWord && separator.isEmpty
    }

    private static func isSeparator(_ bytes: [UInt8]) -> Bool {
        switch bytes {
        case Array(".".utf8), Array("_".utf8), Array("__".utf8): true
        default: bytes.allSatisfy { $0 == UInt8(ascii: "-") }
        }
    }

    static func isTag(_ text: String) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= 128 else { return false }
        func isWord(_ byte: UInt8) -> Bool { isAlphanumeric(byte) || byte == UInt8(ascii: "_") }
        return isWord(first)
            && text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }

    private static func isNumber(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    private static func isHex(_ byte: UInt8) -> Bool { Digest.isHexDigit(byte | 0x20) }

    private static func isLowerOrDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isLowerOrDigit(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }
}

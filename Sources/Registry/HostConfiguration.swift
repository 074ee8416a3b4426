import Glibc
import System
import TOML

/// What is configured for single registries, in directories laid out as containerd's and Docker's `certs.d`:
/// `HOST/hosts.toml` names mirrors and how to reach them (containerd, docs/hosts.md); without it, `HOST/*.crt` are
/// authorities, and `HOST/NAME.cert` with `HOST/NAME.key` what we show ourselves by (Docker, "Verify repository client with
/// certificates").
struct HostConfiguration: Sendable {
    /// Looked through in this order; the first that has one for a registry counts.
    var directories: [String]

    static let longestFileInBytes = 1 << 20

    /// - Returns: the servers to ask for a registry, in order; the registry itself comes last.
    /// - Throws: `RegistryError` for what cannot be understood, or files that cannot be read.
    func endpoints(for domain: String, plain: Bool) throws(RegistryError) -> [Endpoint] {
        let standard = Endpoint.standard(domain, plain: plain)
        for name in [domain, "_default"] {
            for directory in directories.map({ "\($0)/\(name)" }) where Files.exists(directory) {
                let file = directory + "/hosts.toml"
                if Files.exists(file) { return try hosts(file, domain, standard, plain: plain) }
                var endpoint = standard
                endpoint.tls = try Self.certificates(of: directory)
                return [endpoint]
            }
        }
        return [standard]
    }

    private static func certificates(of directory: String) throws(RegistryError) -> TLSOptions {
        var result = TLSOptions()
        let names: [String]
        do { names = try Files.list(directory).sorted() } catch {
            throw RegistryError(.other, "\(directory) cannot be read (\(error)); mend its permissions")
        }
        for name in names {
            let path = "\(directory)/\(name)"
            if name.hasSuffix(".crt") { result.authorities += try read(path) }
            if name.hasSuffix(".cert") {
                let key = "\(directory)/\(name.dropLast(5)).key"
                guard Files.exists(key) else {
                    throw RegistryError(.other, "\(path) is a client certificate without its key; put \(key) beside it")
                }
                (result.clientCertificate, result.clientKey) = (path, key)
            }
        }
        return result
    }

    private static func read(_ path: String) throws(RegistryError) -> [UInt8] {
        do { return try Files.read(path, limit: longestFileInBytes) + [UInt8(ascii: "\n")] } catch {
            throw RegistryError(.other, "the certificate \(path) cannot be read: \(error)")
        }
    }

    private func hosts(
        _ path: String, _ domain: String, _ standard: Endpoint, plain: Bool
    ) throws(RegistryError) -> [Endpoint] {
        let bytes: [UInt8]
        do { bytes = try Files.read(path, limit: Self.longestFileInBytes) } catch {
            throw RegistryError(.other, "the registry configuration cannot be read: \(error)")
        }
        let document: TOMLDocument
        do throws(TOMLDocument.ParseError) { document = try TOMLDocument(bytes) } catch {
            throw RegistryError(.other, "\(path), line \(error.line): this is not TOML: \(error.reason)")
        }
        var server = standard
        var mirrors: [Endpoint] = []
        var names: [String] = []
        for entry in document.entries.sorted(by: { $0.line < $1.line }) {
            func refuse(_ why: String) -> RegistryError {
                RegistryError(.other, "\(path), line \(entry.line): \(why)")
            }
            guard let (host, field) = Self.split(entry) else {
                if entry.key == "server", case .string(let url) = entry.value {
                    guard let root = Self.root(url) else {
                        throw refuse("server must be an address such as https://example.com")
                    }
                    server.root = root
                    server.mayBePlain = false
                } else {
                    try Self.apply(entry.key, entry.value, to: &server, refuse)
                }
                continue
            }
            guard let root = Self.root(host) else {
                throw refuse("\"\(host)\" is not an address such as https://example.com")
            }
            let index: Int
            if let known = names.firstIndex(of: host) {
                index = known
            } else {
                index = names.count
                names.append(host)
                let upstream = Endpoint.authority(of: root) == standard.authority
                mirrors.append(Endpoint(root: root, pushes: upstream, mirrors: upstream ? nil : domain))
            }
            guard let field else { continue }
            if field == "override_path" {
                guard case .boolean(let on) = entry.value else { throw refuse("override_path must be true or false") }
                if on { mirrors[index].root = Self.trimmed(host) }
            } else {
                try Self.apply(field, entry.value, to: &mirrors[index], refuse)
            }
        }
        return mirrors + (mirrors.contains { $0.root == server.root } ? [] : [server])
    }

    /// `host.URL.FIELD`: an address has dots, a field's name none, but those of `header`.
    private static func split(_ entry: TOMLDocument.Entry) -> (host: String, field: String?)? {
        guard entry.key.hasPrefix("host.") else { return nil }
        let rest = entry.key.dropFirst("host.".count)
        // `[host."https://example.com"]` with nothing below it.
        if case .emptyTable = entry.value, !rest.hasSuffix(".client") { return (String(rest), nil) }
        if let header = rest.firstRange(of: ".header.") {
            return (String(rest[..<header.lowerBound]), String(rest[rest.index(after: header.lowerBound)...]))
        }
        guard let dot = rest.lastIndex(of: ".") else { return (String(rest), nil) }
        return (String(rest[..<dot]), String(rest[rest.index(after: dot)...]))
    }

    private static func trimmed(_ url: String) -> String {
        var text = url
        while text.hasSuffix("/") { text.removeLast() }
        return text
    }

    private static func root(_ url: String) -> String? {
        guard url.hasPrefix("https://") || url.hasPrefix("http://"), !Endpoint.authority(of: url).isEmpty else {
            return nil
        }
        let text = trimmed(url)
        return text.hasSuffix("/v2") ? text : text + "/v2"
    }

    private static func apply(
        _ field: String, _ value: TOMLDocument.Value, to endpoint: inout Endpoint, _ refuse: (String) -> RegistryError
    ) throws(RegistryError) {
        switch (field, value) {
        case ("capabilities", .strings(let words)):
            (endpoint.pulls, endpoint.resolves, endpoint.pushes) =
                (words.contains("pull"), words.contains("resolve"), words.contains("push"))
        case ("ca", .string(let file)): endpoint.tls.authorities += try read(file)
        case ("ca", .strings(let files)): for file in files { endpoint.tls.authorities += try read(file) }
        case ("client", .string(let file)): endpoint.tls.clientCertificate = file
        case ("client", .strings(let files)) where files.count == 1: endpoint.tls.clientCertificate = files[0]
        case ("skip_verify", .boolean(let on)): endpoint.tls.verifies = !on
        case (let name, .string(let text)) where name.hasPrefix("header."):
            endpoint.headers[String(name.dropFirst("header.".count))] = text
        case ("client", _):
            throw refuse("client must be one file that holds certificate and key; see docs/registries.md")
        default: throw refuse("\(field) is not known here, or not of the right kind; see docs/registries.md")
        }
    }
}

import FoundationEssentials
import Glibc
import OCISpec
import System

/// The file in which Docker and its kin keep what they were told at `login`: `auths`, `credHelpers` and `credsStore` of
/// Docker's `config.json`, and containers' `auth.json`, which is the same with repositories as keys besides.
public struct CredentialFile: Sendable {
    public let path: String
    /// Read when `path` has nothing: where other tools keep theirs.
    let others: [String]

    static let longestInBytes = 4 << 20

    /// `$REGISTRY_AUTH_FILE`; else `config.json` in `$DOCKER_CONFIG` or `~/.docker`, with containers' own
    /// `$XDG_RUNTIME_DIR/containers/auth.json` after it. nil without any home.
    public static func standard(
        environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }
    ) -> CredentialFile? {
        func set(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
        if let path = set("REGISTRY_AUTH_FILE") { return CredentialFile(path: path, others: []) }
        let runtime = set("XDG_RUNTIME_DIR").map { $0 + "/containers/auth.json" }
        let directory = set("DOCKER_CONFIG") ?? set("HOME").map { $0 + "/.docker" }
        guard let path = directory.map({ $0 + "/config.json" }) ?? runtime else { return nil }
        return CredentialFile(path: path, others: [runtime].compactMap { $0 }.filter { $0 != path })
    }

    public init(path: String, others: [String] = []) {
        self.path = path
        self.others = others
    }

    /// What to show a registry.
    /// - Parameters:
    ///   - domain: as names have it, e.g. `docker.io`.
    ///   - repository: for files that know a password for a part of a registry.
    /// - Throws: `RegistryError` for a file or helper that cannot be used.
    func credentials(for domain: String, repository: String?) throws(RegistryError) -> Credentials? {
        for path in [path] + others {
            if let found = try Self.credentials(in: Self.document(path), path, domain, repository) { return found }
        }
        return nil
    }

    private static func credentials(
        in document: JSONValue, _ path: String, _ domain: String, _ repository: String?
    ) throws(RegistryError) -> Credentials? {
        let keys = keys(domain)
        if let helper = keys.lazy.compactMap({ document["credHelpers"]?[$0]?.string }).first {
            for key in keys { if let found = try CredentialHelper(helper).get(key) { return found } }
            return nil
        }
        var scopes = [domain]
        for part in repository?.split(separator: "/") ?? [] { scopes.insert("\(scopes[0])/\(part)", at: 0) }
        for key in scopes.dropLast() + keys {
            guard let entry = document["auths"]?[key] else { continue }
            if let token = entry["identitytoken"]?.string, !token.isEmpty { return .identityToken(token) }
            if let text = entry["auth"]?.string, !text.isEmpty {
                guard let data = Data(base64Encoded: text),
                    let colon = data.firstIndex(of: UInt8(ascii: ":"))
                else {
                    throw RegistryError(
                        .other, "\(path): the password for \(key) cannot be read; log in again with \"cloister login\"")
                }
                let user = String(decoding: data[..<colon], as: UTF8.self)
                let password = String(decoding: data[data.index(after: colon)...], as: UTF8.self)
                return .password(user: user, password: String(password.drop { $0 == "\0" }))
            }
            if let user = entry["username"]?.string, let password = entry["password"]?.string, !user.isEmpty {
                return .password(user: user, password: password)
            }
        }
        if let store = document["credsStore"]?.string, !store.isEmpty {
            for key in keys { if let found = try CredentialHelper(store).get(key) { return found } }
        }
        return nil
    }

    /// Docker Hub has had other names.
    private static func keys(_ domain: String) -> [String] {
        let names =
            domain == "docker.io" || domain == Registry.hubIndex
            ? [dockerHub, "index.docker.io", "docker.io", "registry-1.docker.io"] : [domain]
        return names
            + names.filter { !$0.contains("://") }.flatMap {
                ["https://\($0)", "http://\($0)", "https://\($0)/v2/", "https://\($0)/v1/"]
            }
    }

    private static let dockerHub = "https://index.docker.io/v1/"

    private static func document(_ path: String) throws(RegistryError) -> JSONValue {
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try Files.read(path, limit: longestInBytes) } catch {
            if error.errno == ENOENT || error.errno == ENOTDIR { return .object([:]) }
            throw RegistryError(.other, "the passwords of registries cannot be read: \(error)")
        }
        if bytes.allSatisfy({ $0 <= 0x20 }) { return .object([:]) }
        do throws(OCIJSONError) {
            let document = try OCIJSON.decode(JSONValue.self, from: bytes)
            if document.object != nil { return document }
        } catch {
            throw RegistryError(.other, "\(path) \(error); mend the file or move it away")
        }
        throw RegistryError(.other, "\(path) is not a JSON object; mend the file or move it away")
    }

    /// Keeps credentials as Docker does: with the helper that the file names, else in the file, which is the user's alone.
    /// - Returns: where they are now.
    /// - Throws: `RegistryError`.
    public func store(_ credentials: Credentials, for domain: String) throws(RegistryError) -> String {
        try change { document throws(RegistryError) in
            let key = domain == "docker.io" ? Self.dockerHub : domain
            if let helper = Self.helper(document, domain) {
                try CredentialHelper(helper).store(credentials, for: key)
                return "the credential helper \(helper)"
            }
            var auths = document["auths"] ?? .object([:])
            switch credentials {
            case .password: auths[key] = .object(["auth": .string(String(credentials.basic?.dropFirst(6) ?? ""))])
            case .identityToken(let token):
                auths[key] = .object(["auth": .string(""), "identitytoken": .string(token)])
            }
            document["auths"] = auths
            return path
        }
    }

    /// Forgets what is known for a registry. - Returns: whether anything was.
    /// - Throws: `RegistryError`.
    public func erase(_ domain: String) throws(RegistryError) -> Bool {
        try change { document throws(RegistryError) in
            var found = false
            if let helper = Self.helper(document, domain) {
                for key in Self.keys(domain) where try CredentialHelper(helper).get(key) != nil {
                    try CredentialHelper(helper).erase(key)
                    found = true
                }
            }
            guard var auths = document["auths"]?.object else { return found }
            for key in Self.keys(domain) where auths.removeValue(forKey: key) != nil { found = true }
            document["auths"] = .object(auths)
            return found
        }
    }

    private static func helper(_ document: JSONValue, _ domain: String) -> String? {
        let own = keys(domain).lazy.compactMap { document["credHelpers"]?[$0]?.string }.first
        return (own ?? document["credsStore"]?.string).flatMap { $0.isEmpty ? nil : $0 }
    }

    private func change<T>(
        _ body: (inout JSONValue) throws(RegistryError) -> T
    ) throws(RegistryError) -> T {
        func explain(_ error: any Error) -> RegistryError {
            RegistryError(
                .other, "\(path) cannot be written (\(error)); mend its permissions or set REGISTRY_AUTH_FILE")
        }
        do { try Files.makeDirectories(Files.parent(of: path), mode: 0o700) } catch { throw explain(error) }
        let lock: FileLock
        do { lock = try FileLock.acquire(path + ".lock", .exclusive, permissions: 0o600) } catch {
            throw explain(error)
        }
        defer {
            unlink(path + ".lock")
            lock.release()
        }
        let before = try Self.document(path)
        var document = before
        let result = try body(&document)
        if document != before {
            do { try Files.replace(path, try OCIJSON.encode(document, pretty: true), mode: 0o600) } catch {
                throw explain(error)
            }
        }
        return result
    }
}

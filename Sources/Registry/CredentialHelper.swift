import Glibc
import OCISpec
import System

/// `docker-credential-NAME`, which keeps passwords elsewhere (github.com/docker/docker-credential-helpers): an address on
/// its standard input, JSON on its standard output.
struct CredentialHelper {
    let name: String

    init(_ name: String) { self.name = name }

    private struct Entry: Codable {
        var ServerURL: String
        var Username: String
        var Secret: String
    }

    /// Instead of a user's name, where the secret is an identity token.
    private static let tokenUser = "<token>"
    private static let longestAnswerInBytes = 1 << 20

    /// - Returns: nil when it knows nothing of the registry.
    func get(_ registry: String) throws(RegistryError) -> Credentials? {
        let (status, output) = try run("get", input: registry)
        guard status == .exited(0) else {
            let text = String(decoding: output, as: UTF8.self)
            if text.contains("credentials not found") || text.isEmpty { return nil }
            throw failure("get", text)
        }
        guard let entry = try? OCIJSON.decode(Entry.self, from: output) else {
            throw failure("get", "its answer is not JSON")
        }
        if entry.Username.isEmpty { return nil }
        return entry.Username == Self.tokenUser
            ? .identityToken(entry.Secret) : .password(user: entry.Username, password: entry.Secret)
    }

    func store(_ credentials: Credentials, for registry: String) throws(RegistryError) {
        let entry =
            switch credentials {
            case .password(let user, let password): Entry(ServerURL: registry, Username: user, Secret: password)
            case .identityToken(let token): Entry(ServerURL: registry, Username: Self.tokenUser, Secret: token)
            }
        guard let bytes = try? OCIJSON.encode(entry) else {
            throw failure("store", "what it is told cannot be written")
        }
        let (status, output) = try run("store", input: String(decoding: bytes, as: UTF8.self))
        guard status == .exited(0) else { throw failure("store", String(decoding: output, as: UTF8.self)) }
    }

    func erase(_ registry: String) throws(RegistryError) {
        let (status, output) = try run("erase", input: registry)
        guard status == .exited(0) else { throw failure("erase", String(decoding: output, as: UTF8.self)) }
    }

    private func failure(_ verb: String, _ why: String) -> RegistryError {
        RegistryError(.other, "the credential helper docker-credential-\(name) failed to \(verb): \(why.printable)")
    }

    private func run(_ verb: String, input: String) throws(RegistryError) -> (ExitStatus, [UInt8]) {
        let program = "docker-credential-\(name)"
        let search = getenv("PATH").map { String(cString: $0) } ?? ""
        guard !name.contains("/"),
            let path = search.split(separator: ":").map({ "\($0)/\(program)" }).first(where: { (file: String) in
                access(file, X_OK) == 0
            })
        else {
            throw RegistryError(
                .other,
                "the credential helper \(program) is not on PATH; install it, or take \"\(name)\" out of Docker's config.json"
            )
        }
        do {
            let (reader, writer) = try makePipe()
            let (source, sink) = try makePipe()
            let child = try ChildProcess.spawn(path, [verb], descriptors: [source.raw, writer.raw, STDERR_FILENO])
            source.close()
            writer.close()
            // An address or a password: less than a pipe holds. One that does not read is not an error by itself.
            try? sink.writeAll(Array(input.utf8))
            sink.close()
            let output = try reader.readToEnd(limit: Self.longestAnswerInBytes)
            return (child.wait(), output)
        } catch { throw RegistryError(.other, "the credential helper \(program) cannot be used: \(error)") }
    }
}

import Config
import Glibc
import ImageStore
import Registry
import System

/// `cloister login`.
struct LoginCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "login", abstract: "Log in to a registry.",
            discussion: """

                What the registry takes is kept where Docker keeps it: with the credential helper that its config.json names, \
                else in that file, which REGISTRY_AUTH_FILE or DOCKER_CONFIG move elsewhere.
                """)
    }

    @Option("u", "username", value: "NAME", help: "Who to log in as; asked for when left out.") var username: String?
    @Option("p", "password", value: "PASSWORD", help: "The password, which others can see in the list of processes.")
    var password: String?
    @Flag("password-stdin", help: "Read the password from standard input.") var passwordFromInput
    @Flag("plain-http", help: "Speak to the registry without TLS, which anybody on the way can read.") var plain
    @Argument("REGISTRY", help: "Its address, as names of images have it; the default registry when left out.")
    var registry: [String]

    func validate() throws {
        if password != nil && passwordFromInput {
            throw UserError("--password and --password-stdin exclude each other.")
        }
        if passwordFromInput && username == nil { throw UserError("--password-stdin needs --username.") }
        if registry.count > 1 { throw UserError("cloister login takes one REGISTRY at a time.") }
    }

    func run() throws {
        let domain = try RegistryName.domain(registry.first)
        guard let file = CredentialFile.standard() else {
            throw UserError("there is no place to keep a password: set HOME, DOCKER_CONFIG or REGISTRY_AUTH_FILE.")
        }
        let credentials = Credentials.password(user: try user(), password: try secret())
        try Registry(domain, Registries.options(plain: plain)).session().check(credentials)
        let place = try file.store(credentials, for: domain)
        Output.standard("Logged in to \(domain); the password is kept in \(place)\n")
    }

    private func user() throws -> String {
        if let username { return username }
        guard isatty(STDIN_FILENO) != 0 else {
            throw UserError(
                "standard input is not a terminal to ask for a name at; give --username and --password-stdin.")
        }
        Output.error("Username: ")
        guard let line = readLine(), !line.isEmpty else { throw UserError("a username is needed.") }
        return line
    }

    private func secret() throws -> String {
        if let password { return password }
        if passwordFromInput {
            let bytes = try FileDescriptor(dup(STDIN_FILENO)).readToEnd(limit: 1 << 20)
            var text = String(decoding: bytes, as: UTF8.self)[...]
            while let last = text.last, last.isNewline { text.removeLast() }
            guard !text.isEmpty else { throw UserError("there is no password on standard input.") }
            return String(text)
        }
        guard isatty(STDIN_FILENO) != 0 else {
            throw UserError("standard input is not a terminal to ask for a password at; give --password-stdin.")
        }
        Output.error("Password: ")
        var settings = termios()
        tcgetattr(STDIN_FILENO, &settings)
        let before = settings
        settings.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings)
        defer {
            var before = before
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &before)
            Output.error("\n")
        }
        guard let line = readLine(), !line.isEmpty else { throw UserError("a password is needed.") }
        return line
    }
}

/// `cloister logout`.
struct LogoutCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration("logout", abstract: "Forget who one is to a registry.")
    }

    @Argument("REGISTRY", help: "Its address, as names of images have it; the default registry when left out.")
    var registry: [String]

    func run() throws {
        let domain = try RegistryName.domain(registry.first)
        let found = try CredentialFile.standard()?.erase(domain) ?? false
        guard found else { throw UserError("nobody is logged in to \(domain).") }
        Output.standard("Logged out of \(domain)\n")
    }
}

/// A registry as people write it.
enum RegistryName {
    static let hub = "docker.io"

    /// What an argument says; without one, the registry of names that name none.
    static func domain(_ argument: String?) throws -> String {
        try argument.map { try named($0) } ?? Stores.names(try Configuration.load()).registry
    }

    /// `https://index.docker.io/v1/`, `example.com:5000` as names of images have it.
    static func named(_ text: String) throws -> String {
        var name = text[...]
        for scheme in ["https://", "http://"] where name.hasPrefix(scheme) { name = name.dropFirst(scheme.count) }
        name = name.prefix { $0 != "/" }
        if name == "index.docker.io" || name == "registry-1.docker.io" { return hub }
        // A name that is no part of a path: `localhost`, `host.domain`, `host:port`.
        guard let reference = try? ImageReference("\(name)/image"), reference.domain == name else {
            throw UserError(
                "\"\(text)\" is not a registry's address; one looks like example.com or localhost:5000.")
        }
        return reference.domain
    }
}

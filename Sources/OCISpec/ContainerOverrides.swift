/// What the person who runs a container says, over what its image says. Flags mean what they mean in Docker.
public struct ContainerOverrides: Equatable, Sendable {
    /// nil keeps the image's; `[""]` or `[]` clears it. Either way the image's Cmd is cleared once this is given.
    public var entrypoint: [String]?
    /// Replaces the image's Cmd when not empty.
    public var command: [String]
    /// `NAME=value`; a `NAME` alone takes the name away.
    public var environment: [String]
    public var workingDirectory: String?
    /// `user[:group]`, by name or number.
    public var user: String?
    public var hostname: String?
    public var terminal: Bool
    public var readOnlyRoot: Bool
    public var capAdd: [String]
    public var capDrop: [String]
    public var noNewPrivileges: Bool
    public var seccomp: Seccomp

    public enum Seccomp: Equatable, Sendable {
        case standard
        case unconfined
        case profile(SeccompProfile)
    }

    public init(
        entrypoint: [String]? = nil, command: [String] = [], environment: [String] = [],
        workingDirectory: String? = nil, user: String? = nil, hostname: String? = nil, terminal: Bool = false,
        readOnlyRoot: Bool = false, capAdd: [String] = [], capDrop: [String] = [], noNewPrivileges: Bool = false,
        seccomp: Seccomp = .standard
    ) {
        self.entrypoint = entrypoint
        self.command = command
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.user = user
        self.hostname = hostname
        self.terminal = terminal
        self.readOnlyRoot = readOnlyRoot
        self.capAdd = capAdd
        self.capDrop = capDrop
        self.noNewPrivileges = noNewPrivileges
        self.seccomp = seccomp
    }
}

extension RuntimeSpec {
    /// The annotation that carries `user[:group]` as the image or the caller wrote it. The names are in the image's own
    /// /etc/passwd and /etc/group, so the agent resolves them in the guest; `process.user` holds root meanwhile. The
    /// agent adds HOME, from the same file, where the environment has none.
    public static let userAnnotation = "io.cloister.user"

    /// What every container's environment starts with.
    static let defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// The container that an image's configuration and its runner's wishes describe, on top of `containerDefault`.
    /// - Throws: `SpecError` when neither names a command, or a wish cannot be met.
    public static func container(
        image: ImageConfig.Execution?, overrides: ContainerOverrides = ContainerOverrides()
    ) throws(SpecError) -> RuntimeSpec {
        let image = image ?? ImageConfig.Execution()
        let capabilities = try Capabilities.names(adding: overrides.capAdd, dropping: overrides.capDrop)
        var spec = containerDefault(capabilities: capabilities)

        var process = spec.process ?? Process()
        process.args = try arguments(image, overrides)
        var environment = [defaultPath]
        if let hostname = overrides.hostname { environment.append("HOSTNAME=\(hostname)") }
        if overrides.terminal { environment.append("TERM=xterm") }
        process.env = merge(merge(environment, image.Env), overrides.environment)
        process.cwd = try workingDirectory(overrides.workingDirectory ?? image.WorkingDir ?? "")
        process.terminal = overrides.terminal
        process.noNewPrivileges = overrides.noNewPrivileges
        spec.process = process

        spec.hostname = overrides.hostname
        spec.root = Root(path: "rootfs", readonly: overrides.readOnlyRoot)
        let user = overrides.user ?? image.User ?? ""
        if !user.isEmpty { spec.annotations[userAnnotation] = user }
        switch overrides.seccomp {
        case .standard: spec.linux?.seccomp = SeccompProfile.default(capabilities: capabilities)
        case .unconfined: spec.linux?.seccomp = nil
        case .profile(let profile): spec.linux?.seccomp = profile
        }
        return spec
    }

    private static func arguments(
        _ image: ImageConfig.Execution, _ overrides: ContainerOverrides
    ) throws(SpecError) -> [String] {
        var entrypoint = image.Entrypoint
        var command = overrides.command.isEmpty ? image.Cmd : overrides.command
        if let given = overrides.entrypoint {
            entrypoint = given == [""] ? [] : given
            command = overrides.command
        }
        let all = entrypoint + command
        guard let program = all.first else {
            throw SpecError("the image names no command to run; give one after the image's name")
        }
        guard !program.isEmpty else { throw SpecError("the command to run is an empty string") }
        return all
    }

    private static func workingDirectory(_ path: String) throws(SpecError) -> String {
        if path.isEmpty { return "/" }
        guard path.hasPrefix("/") else {
            throw SpecError("the working directory \"\(path)\" is not an absolute path")
        }
        return path
    }

    /// Later entries replace earlier ones of the same name, in place; a name without `=` removes it.
    static func merge(_ base: [String], _ changes: [String]) -> [String] {
        func name(_ entry: String) -> Substring { entry.prefix { $0 != "=" } }
        var result = base
        for change in changes {
            let index = result.firstIndex { name($0) == name(change) }
            if !change.contains("=") {
                if let index { result.remove(at: index) }
            } else if let index {
                result[index] = change
            } else {
                result.append(change)
            }
        }
        return result
    }
}

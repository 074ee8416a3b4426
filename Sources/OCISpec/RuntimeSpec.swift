/// A container as an OCI runtime is told of it: `config.json` of the runtime specification, the parts that apply to
/// Linux (https://github.com/opencontainers/runtime-spec, config.md and config-linux.md).
///
/// Keys this type does not know are skipped when decoding; lists and maps that are absent or null decode as empty, and
/// empty ones are not encoded.
public struct RuntimeSpec: Codable, Equatable, Sendable {
    /// The specification's version that `RuntimeSpec()` claims.
    public static let version = "1.0.2"

    public var ociVersion: String
    public var process: Process?
    public var root: Root?
    public var hostname: String?
    public var domainname: String?
    public var mounts: [Mount]
    public var annotations: [String: String]
    public var hooks: Hooks?
    public var linux: Linux?

    public init(
        ociVersion: String = RuntimeSpec.version, process: Process? = nil, root: Root? = nil, hostname: String? = nil,
        domainname: String? = nil, mounts: [Mount] = [], annotations: [String: String] = [:], hooks: Hooks? = nil,
        linux: Linux? = nil
    ) {
        self.ociVersion = ociVersion
        self.process = process
        self.root = root
        self.hostname = hostname
        self.domainname = domainname
        self.mounts = mounts
        self.annotations = annotations
        self.hooks = hooks
        self.linux = linux
    }

    /// The container's root filesystem.
    public struct Root: Codable, Equatable, Sendable {
        /// Absolute, or relative to the bundle.
        public var path: String
        public var readonly: Bool?

        public init(path: String, readonly: Bool? = nil) {
            self.path = path
            self.readonly = readonly
        }
    }

    /// A mount inside the container; order matters.
    public struct Mount: Codable, Equatable, Sendable {
        public var destination: String
        public var type: String?
        public var source: String?
        public var options: [String]
        public var uidMappings: [IDMapping]
        public var gidMappings: [IDMapping]

        public init(
            destination: String, type: String? = nil, source: String? = nil, options: [String] = [],
            uidMappings: [IDMapping] = [], gidMappings: [IDMapping] = []
        ) {
            self.destination = destination
            self.type = type
            self.source = source
            self.options = options
            self.uidMappings = uidMappings
            self.gidMappings = gidMappings
        }
    }

    /// A range of ids in a user namespace (user_namespaces(7)).
    public struct IDMapping: Codable, Equatable, Sendable {
        public var containerID: UInt32
        public var hostID: UInt32
        public var size: UInt32

        public init(containerID: UInt32, hostID: UInt32, size: UInt32) {
            self.containerID = containerID
            self.hostID = hostID
            self.size = size
        }
    }
}

extension RuntimeSpec {
    /// What is particular to Linux (config-linux.md).
    public struct Linux: Codable, Equatable, Sendable {
        public var namespaces: [Namespace]
        public var uidMappings: [IDMapping]
        public var gidMappings: [IDMapping]
        public var devices: [Device]
        public var cgroupsPath: String?
        public var resources: Resources?
        public var seccomp: SeccompProfile?
        public var sysctl: [String: String]
        public var maskedPaths: [String]
        public var readonlyPaths: [String]
        public var rootfsPropagation: String?
        public var mountLabel: String?

        public init(
            namespaces: [Namespace] = [], uidMappings: [IDMapping] = [], gidMappings: [IDMapping] = [],
            devices: [Device] = [], cgroupsPath: String? = nil, resources: Resources? = nil,
            seccomp: SeccompProfile? = nil, sysctl: [String: String] = [:], maskedPaths: [String] = [],
            readonlyPaths: [String] = [], rootfsPropagation: String? = nil, mountLabel: String? = nil
        ) {
            self.namespaces = namespaces
            self.uidMappings = uidMappings
            self.gidMappings = gidMappings
            self.devices = devices
            self.cgroupsPath = cgroupsPath
            self.resources = resources
            self.seccomp = seccomp
            self.sysctl = sysctl
            self.maskedPaths = maskedPaths
            self.readonlyPaths = readonlyPaths
            self.rootfsPropagation = rootfsPropagation
            self.mountLabel = mountLabel
        }
    }

    /// A namespace to create, or to join when `path` is given.
    public struct Namespace: Codable, Equatable, Sendable {
        /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`.
        public var type: String
        public var path: String?

        public init(type: String, path: String? = nil) {
            self.type = type
            self.path = path
        }
    }

    /// A device node to make in the container.
    public struct Device: Codable, Equatable, Sendable {
        /// `c`, `b`, `u` or `p` (mknod(1)).
        public var type: String
        public var path: String
        public var major: Int64?
        public var minor: Int64?
        public var fileMode: UInt32?
        public var uid: UInt32?
        public var gid: UInt32?

        public init(
            type: String, path: String, major: Int64? = nil, minor: Int64? = nil, fileMode: UInt32? = nil,
            uid: UInt32? = nil, gid: UInt32? = nil
        ) {
            self.type = type
            self.path = path
            self.major = major
            self.minor = minor
            self.fileMode = fileMode
            self.uid = uid
            self.gid = gid
        }
    }
}

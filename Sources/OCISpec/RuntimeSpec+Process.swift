extension RuntimeSpec {
    /// The container's process (config.md, "Process").
    public struct Process: Codable, Equatable, Sendable {
        public var terminal: Bool
        public var consoleSize: ConsoleSize?
        public var user: User
        public var args: [String]
        public var env: [String]
        /// Absolute.
        public var cwd: String
        public var capabilities: Capabilities?
        public var rlimits: [Rlimit]
        public var noNewPrivileges: Bool
        public var oomScoreAdj: Int?
        public var apparmorProfile: String?
        public var selinuxLabel: String?

        public init(
            terminal: Bool = false, consoleSize: ConsoleSize? = nil, user: User = User(), args: [String] = [],
            env: [String] = [], cwd: String = "/", capabilities: Capabilities? = nil, rlimits: [Rlimit] = [],
            noNewPrivileges: Bool = false, oomScoreAdj: Int? = nil, apparmorProfile: String? = nil,
            selinuxLabel: String? = nil
        ) {
            self.terminal = terminal
            self.consoleSize = consoleSize
            self.user = user
            self.args = args
            self.env = env
            self.cwd = cwd
            self.capabilities = capabilities
            self.rlimits = rlimits
            self.noNewPrivileges = noNewPrivileges
            self.oomScoreAdj = oomScoreAdj
            self.apparmorProfile = apparmorProfile
            self.selinuxLabel = selinuxLabel
        }

        public init(from decoder: any Decoder) throws {
            let keys = try decoder.container(keyedBy: CodingKeys.self)
            self.init(
                terminal: try keys.decodeIfPresent(Bool.self, forKey: .terminal) ?? false,
                consoleSize: try keys.decodeIfPresent(ConsoleSize.self, forKey: .consoleSize),
                user: try keys.decodeIfPresent(User.self, forKey: .user) ?? User(),
                args: try keys.decode([String].self, forKey: .args),
                env: try keys.decode([String].self, forKey: .env),
                cwd: try keys.decodeIfPresent(String.self, forKey: .cwd) ?? "/",
                capabilities: try keys.decodeIfPresent(Capabilities.self, forKey: .capabilities),
                rlimits: try keys.decode([Rlimit].self, forKey: .rlimits),
                noNewPrivileges: try keys.decodeIfPresent(Bool.self, forKey: .noNewPrivileges) ?? false,
                oomScoreAdj: try keys.decodeIfPresent(Int.self, forKey: .oomScoreAdj),
                apparmorProfile: try keys.decodeIfPresent(String.self, forKey: .apparmorProfile),
                selinuxLabel: try keys.decodeIfPresent(String.self, forKey: .selinuxLabel))
        }
    }

    /// A terminal's size in characters.
    public struct ConsoleSize: Codable, Equatable, Sendable {
        public var height: UInt32
        public var width: UInt32

        public init(height: UInt32, width: UInt32) {
            self.height = height
            self.width = width
        }
    }

    /// Who the process runs as, in the container's ids.
    public struct User: Codable, Equatable, Sendable {
        public var uid: UInt32
        public var gid: UInt32
        public var umask: UInt32?
        public var additionalGids: [UInt32]

        public init(uid: UInt32 = 0, gid: UInt32 = 0, umask: UInt32? = nil, additionalGids: [UInt32] = []) {
            self.uid = uid
            self.gid = gid
            self.umask = umask
            self.additionalGids = additionalGids
        }

        public init(from decoder: any Decoder) throws {
            let keys = try decoder.container(keyedBy: CodingKeys.self)
            self.init(
                uid: try keys.decodeIfPresent(UInt32.self, forKey: .uid) ?? 0,
                gid: try keys.decodeIfPresent(UInt32.self, forKey: .gid) ?? 0,
                umask: try keys.decodeIfPresent(UInt32.self, forKey: .umask),
                additionalGids: try keys.decode([UInt32].self, forKey: .additionalGids))
        }
    }

    /// The five capability sets, by name as in capabilities(7), e.g. `CAP_CHOWN`.
    public struct Capabilities: Codable, Equatable, Sendable {
        public var bounding: [String]
        public var effective: [String]
        public var inheritable: [String]
        public var permitted: [String]
        public var ambient: [String]

        public init(
            bounding: [String] = [], effective: [String] = [], inheritable: [String] = [], permitted: [String] = [],
            ambient: [String] = []
        ) {
            self.bounding = bounding
            self.effective = effective
            self.inheritable = inheritable
            self.permitted = permitted
            self.ambient = ambient
        }
    }

    /// A resource limit (setrlimit(2)).
    public struct Rlimit: Codable, Equatable, Sendable {
        /// e.g. `RLIMIT_NOFILE`.
        public var type: String
        public var hard: UInt64
        public var soft: UInt64

        public init(type: String, hard: UInt64, soft: UInt64) {
            self.type = type
            self.hard = hard
            self.soft = soft
        }
    }
}

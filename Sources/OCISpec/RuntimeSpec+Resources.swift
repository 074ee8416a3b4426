extension RuntimeSpec {
    /// cgroup limits (config-linux.md, "Control groups"). What is nil is not limited.
    public struct Resources: Codable, Equatable, Sendable {
        public var devices: [DeviceRule]
        public var memory: Memory?
        public var cpu: CPU?
        public var pids: Pids?
        public var blockIO: BlockIO?
        public var hugepageLimits: [HugepageLimit]
        /// cgroup v2 files by name, written as they are.
        public var unified: [String: String]

        public init(
            devices: [DeviceRule] = [], memory: Memory? = nil, cpu: CPU? = nil, pids: Pids? = nil,
            blockIO: BlockIO? = nil, hugepageLimits: [HugepageLimit] = [], unified: [String: String] = [:]
        ) {
            self.devices = devices
            self.memory = memory
            self.cpu = cpu
            self.pids = pids
            self.blockIO = blockIO
            self.hugepageLimits = hugepageLimits
            self.unified = unified
        }
    }

    /// One rule of the device cgroup; later rules win.
    public struct DeviceRule: Codable, Equatable, Sendable {
        public var allow: Bool
        /// `a`, `c` or `b`; nil is `a`.
        public var type: String?
        /// nil is any.
        public var major: Int64?
        public var minor: Int64?
        /// Any of `r`, `w`, `m`.
        public var access: String?

        public init(
            allow: Bool, type: String? = nil, major: Int64? = nil, minor: Int64? = nil, access: String? = nil
        ) {
            self.allow = allow
            self.type = type
            self.major = major
            self.minor = minor
            self.access = access
        }
    }

    /// In bytes; -1 is no limit.
    public struct Memory: Codable, Equatable, Sendable {
        public var limit: Int64?
        public var reservation: Int64?
        /// Memory and swap together.
        public var swap: Int64?
        public var swappiness: UInt64?
        public var disableOOMKiller: Bool?

        public init(
            limit: Int64? = nil, reservation: Int64? = nil, swap: Int64? = nil, swappiness: UInt64? = nil,
            disableOOMKiller: Bool? = nil
        ) {
            self.limit = limit
            self.reservation = reservation
            self.swap = swap
            self.swappiness = swappiness
            self.disableOOMKiller = disableOOMKiller
        }
    }

    public struct CPU: Codable, Equatable, Sendable {
        /// cgroup v1's weight, 2 to 262144.
        public var shares: UInt64?
        /// Microseconds of CPU time in each period; -1 is no limit.
        public var quota: Int64?
        /// Microseconds.
        public var period: UInt64?
        /// Microseconds that may be used beyond the quota.
        public var burst: UInt64?
        /// Lists as in cpuset(7), e.g. `0-1,3`.
        public var cpus: String?
        public var mems: String?
        public var idle: Int64?

        public init(
            shares: UInt64? = nil, quota: Int64? = nil, period: UInt64? = nil, burst: UInt64? = nil,
            cpus: String? = nil, mems: String? = nil, idle: Int64? = nil
        ) {
            self.shares = shares
            self.quota = quota
            self.period = period
            self.burst = burst
            self.cpus = cpus
            self.mems = mems
            self.idle = idle
        }
    }

    public struct Pids: Codable, Equatable, Sendable {
        /// 0 or less is no limit.
        public var limit: Int64?

        public init(limit: Int64? = nil) { self.limit = limit }
    }

    public struct BlockIO: Codable, Equatable, Sendable {
        /// 10 to 1000.
        public var weight: UInt16?

        public init(weight: UInt16? = nil) { self.weight = weight }
    }

    public struct HugepageLimit: Codable, Equatable, Sendable {
        /// e.g. `2MB`.
        public var pageSize: String
        /// In bytes.
        public var limit: UInt64

        public init(pageSize: String, limit: UInt64) {
            self.pageSize = pageSize
            self.limit = limit
        }
    }
}

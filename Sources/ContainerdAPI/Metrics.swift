import Protobuf

/// Counters of the kernel by the names it gives them; `fields` numbers them.
public protocol KernelCounters: Message {
    var values: [String: UInt64] { get set }
}

extension KernelCounters {
    public init(_ values: [String: UInt64]) {
        self.init()
        self.values = values
    }

    /// Zero where there is none of this name.
    public subscript(name: String) -> UInt64 {
        get { values[name] ?? 0 }
        set { values[name] = newValue }
    }

    /// Numbered from 1 in this order.
    static func numbered(_ names: [String]) -> [Field<Self>] {
        names.enumerated().map { .singular($0.offset + 1, \Self.[$0.element], .uint64) }
    }
}

public struct PidsStat: Message {
    public var current: UInt64 = 0
    /// 0: there is none.
    public var limit: UInt64 = 0
    public init() {}
    public init(current: UInt64, limit: UInt64) {
        self.current = current
        self.limit = limit
    }
    public static let fields: [Field<PidsStat>] = [.singular(1, \.current, .uint64), .singular(2, \.limit, .uint64)]
}

/// What containerd's clients take a container's use for where the host has cgroup v2 (containerd/cgroups
/// `stats/v2/metrics.proto`).
public struct MetricsV2: Message {
    public static let typeURL = "io.containerd.cgroups.v2.Metrics"

    public struct CPU: KernelCounters {
        public var values: [String: UInt64] = [:]
        public init() {}
        /// `cpu.stat`.
        public static let fields = numbered([
            "usage_usec", "user_usec", "system_usec", "nr_periods", "nr_throttled", "throttled_usec",
        ])
    }

    public struct Memory: KernelCounters {
        public var values: [String: UInt64] = [:]
        public init() {}
        /// `memory.stat`, then the files `memory.current`, `memory.max` and those of swap.
        public static let fields = numbered([
            "anon", "file", "kernel_stack", "slab", "sock", "shmem", "file_mapped", "file_dirty", "file_writeback",
            "anon_thp", "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable",
            "slab_reclaimable", "slab_unreclaimable", "pgfault", "pgmajfault", "workingset_refault",
            "workingset_activate", "workingset_nodereclaim", "pgrefill", "pgscan", "pgsteal", "pgactivate",
            "pgdeactivate", "pglazyfree", "pglazyfreed", "thp_fault_alloc", "thp_collapse_alloc", "usage",
            "usage_limit", "swap_usage", "swap_limit",
        ])
    }

    public struct MemoryEvents: KernelCounters {
        public var values: [String: UInt64] = [:]
        public init() {}
        /// `memory.events`.
        public static let fields = numbered(["low", "high", "max", "oom", "oom_kill"])
    }

    public struct IO: Message {
        public struct Entry: KernelCounters {
            public var values: [String: UInt64] = [:]
            public init() {}
            /// `io.stat`.
            public static let fields = numbered(["major", "minor", "rbytes", "wbytes", "rios", "wios"])
        }

        public var usage: [Entry] = []
        public init() {}
        public static let fields: [Field<IO>] = [.repeated(1, \.usage, .message)]
    }

    public var pids: PidsStat?
    public var cpu: CPU?
    public var memory: Memory?
    public var io: IO?
    public var memoryEvents: MemoryEvents?
    public init() {}
    public static let fields: [Field<MetricsV2>] = [
        .optional(1, \.pids, .message), .optional(2, \.cpu, .message), .optional(4, \.memory, .message),
        .optional(6, \.io, .message), .optional(8, \.memoryEvents, .message),
    ]
}

/// The same where the host has cgroup v1 (containerd/cgroups `stats/v1/metrics.proto`).
public struct MetricsV1: Message {
    public static let typeURL = "io.containerd.cgroups.v1.Metrics"

    public struct CPU: Message {
        public struct Usage: KernelCounters {
            public var values: [String: UInt64] = [:]
            public init() {}
            /// Nanoseconds.
            public static let fields = numbered(["total", "kernel", "user"])
        }

        public struct Throttling: KernelCounters {
            public var values: [String: UInt64] = [:]
            public init() {}
            /// The last one in nanoseconds.
            public static let fields = numbered(["periods", "throttled_periods", "throttled_time"])
        }

        public var usage: Usage?
        public var throttling: Throttling?
        public init() {}
        public static let fields: [Field<CPU>] = [
            .optional(1, \.usage, .message), .optional(2, \.throttling, .message),
        ]
    }

    public struct Memory: KernelCounters {
        public struct Entry: KernelCounters {
            public var values: [String: UInt64] = [:]
            public init() {}
            public static let fields = numbered(["limit", "usage", "max", "failcnt"])
        }

        /// `memory.stat` of cgroup v1, each also with `total_` before it, and the limits it ends with.
        private static let own = [
            "cache", "rss", "rss_huge", "mapped_file", "dirty", "writeback", "pgpgin", "pgpgout", "pgfault",
            "pgmajfault", "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable",
        ]

        public var values: [String: UInt64] = [:]
        public var usage: Entry?
        public var swap: Entry?
        public var kernel: Entry?
        public var kernelTCP: Entry?
        public init() {}
        public static let fields =
            numbered(own + ["hierarchical_memory_limit", "hierarchical_memsw_limit"] + own.map { "total_" + $0 })
            + [
                .optional(33, \.usage, .message), .optional(34, \.swap, .message), .optional(35, \.kernel, .message),
                .optional(36, \.kernelTCP, .message),
            ]
    }

    public struct BlockIO: Message {
        public struct Entry: Message {
            /// `Read` or `Write`.
            public var operation = ""
            public var major: UInt64 = 0
            public var minor: UInt64 = 0
            public var value: UInt64 = 0
            public init() {}
            public static let fields: [Field<Entry>] = [
                .singular(1, \.operation, .string), .singular(3, \.major, .uint64), .singular(4, \.minor, .uint64),
                .singular(5, \.value, .uint64),
            ]
        }

        public var bytes: [Entry] = []
        public var operations: [Entry] = []
        public init() {}
        public static let fields: [Field<BlockIO>] = [
            .repeated(1, \.bytes, .message), .repeated(2, \.operations, .message),
        ]
    }

    public struct OOMControl: KernelCounters {
        public var values: [String: UInt64] = [:]
        public init() {}
        public static let fields = numbered(["oom_kill_disable", "under_oom", "oom_kill"])
    }

    public var pids: PidsStat?
    public var cpu: CPU?
    public var memory: Memory?
    public var blockIO: BlockIO?
    public var oom: OOMControl?
    public init() {}
    public static let fields: [Field<MetricsV1>] = [
        .optional(2, \.pids, .message), .optional(3, \.cpu, .message), .optional(4, \.memory, .message),
        .optional(5, \.blockIO, .message), .optional(9, \.oom, .message),
    ]
}

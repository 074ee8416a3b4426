import Protobuf

/// Counters of the kernel by the names it gives them.
public protocol KernelCounters: Message {
    /// Their fields, numbered from 1 in this order.
    static var names: [String] { get }
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
        set { values[name] = newValue == 0 ? nil : newValue }
    }

    public mutating func fields(_ field: inout Fields) { counters(&field) }

    mutating func counters(_ field: inout Fields) {
        for (index, name) in Self.names.enumerated() { field(index + 1, &self[name]) }
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
    public mutating func fields(_ field: inout Fields) {
        field(1, &current)
        field(2, &limit)
    }
}

/// What containerd's clients take a container's use for where the host has cgroup v2 (containerd/cgroups
/// `stats/v2/metrics.proto`).
public struct MetricsV2: Message {
    public static let typeURL = "io.containerd.cgroups.v2.Metrics"

    public struct CPU: KernelCounters {
        public var values: [String: UInt64] = [:]
        public init() {}
        /// `cpu.stat`.
        public static let names = [
            "usage_usec", "user_usec", "system_usec", "nr_periods", "nr_throttled", "throttled_usec",
        ]
    }

    public struct Memory: KernelCounters {
        public var values: [String: UInt64] = [:]
        public init() {}
        /// `memory.stat`, then the files `memory.current`, `memory.max` and those of swap.
        public static let names = [
            "anon", "file", "kernel_stack", "slab", "sock", "shmem", "file_mapped", "file_dirty", "file_writeback",
            "anon_thp", "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable",
            "slab_reclaimable", "slab_unreclaimable", "pgfault", "pgmajfault", "workingset_refault",
            "workingset_activate", "workingset_nodereclaim", "pgrefill", "pgscan", "pgsteal", "pgactivate",
            "pgdeactivate", "pglazyfree", "pglazyfreed", "thp_fault_alloc", "thp_collapse_alloc", "usage",
            "usage_limit", "swap_usage", "swap_limit",
        ]
    }

    public struct MemoryEvents: KernelCounters {
        public var values: [String: UInt64] = [:]
        public init() {}
        /// `memory.events`.
        public static let names = ["low", "high", "max", "oom", "oom_kill"]
    }

    public struct IO: Message {
        public struct Entry: KernelCounters {
            public var values: [String: UInt64] = [:]
            public init() {}
            /// `io.stat`.
            public static let names = ["major", "minor", "rbytes", "wbytes", "rios", "wios"]
        }

        public var usage: [Entry] = []
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &usage)
        }
    }

    public var pids: PidsStat?
    public var cpu: CPU?
    public var memory: Memory?
    public var io: IO?
    public var memoryEvents: MemoryEvents?
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &pids)
        field(2, &cpu)
        field(4, &memory)
        field(6, &io)
        field(8, &memoryEvents)
    }
}

/// The same where the host has cgroup v1 (containerd/cgroups `stats/v1/metrics.proto`).
public struct MetricsV1: Message {
    public static let typeURL = "io.containerd.cgroups.v1.Metrics"

    public struct CPU: Message {
        public struct Usage: KernelCounters {
            public var values: [String: UInt64] = [:]
            public init() {}
            /// Nanoseconds.
            public static let names = ["total", "kernel", "user"]
        }

        public struct Throttling: KernelCounters {
            public var values: [String: UInt64] = [:]
            public init() {}
            /// The last one in nanoseconds.
            public static let names = ["periods", "throttled_periods", "throttled_time"]
        }

        public var usage: Usage?
        public var throttling: Throttling?
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &usage)
            field(2, &throttling)
        }
    }

    public struct Memory: KernelCounters {
        public struct Entry: KernelCounters {
            public var values: [String: UInt64] = [:]
            public init() {}
            public static let names = ["limit", "usage", "max", "failcnt"]
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
        public static let names =
            own + ["hierarchical_memory_limit", "hierarchical_memsw_limit"] + own.map { "total_" + $0 }
        public mutating func fields(_ field: inout Fields) {
            counters(&field)
            field(33, &usage)
            field(34, &swap)
            field(35, &kernel)
            field(36, &kernelTCP)
        }
    }

    public struct BlockIO: Message {
        public struct Entry: Message {
            /// `Read` or `Write`.
            public var operation = ""
            public var major: UInt64 = 0
            public var minor: UInt64 = 0
            public var value: UInt64 = 0
            public init() {}
            public mutating func fields(_ field: inout Fields) {
                field(1, &operation)
                field(3, &major)
                field(4, &minor)
                field(5, &value)
            }
        }

        public var bytes: [Entry] = []
        public var operations: [Entry] = []
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &bytes)
            field(2, &operations)
        }
    }

    public struct OOMControl: KernelCounters {
        public var values: [String: UInt64] = [:]
        public init() {}
        public static let names = ["oom_kill_disable", "under_oom", "oom_kill"]
    }

    public var pids: PidsStat?
    public var cpu: CPU?
    public var memory: Memory?
    public var blockIO: BlockIO?
    public var oom: OOMControl?
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(2, &pids)
        field(3, &cpu)
        field(4, &memory)
        field(5, &blockIO)
        field(9, &oom)
    }
}

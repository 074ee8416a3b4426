import Protobuf

public struct ContainerReference: Message {
    public var containerID = ""
    public init() {}
    public init(_ containerID: String) { self.containerID = containerID }
    public static let fields: [Field<ContainerReference>] = [.singular(1, \.containerID, .string)]
}

public struct UpdateContainerRequest: Message {
    public var containerID = ""
    /// Device rules are not looked at.
    public var resources = Resources()
    public init() {}
    public static let fields: [Field<UpdateContainerRequest>] = [
        .singular(1, \.containerID, .string), .singular(2, \.resources, .message),
    ]
}

public struct ContainerProcesses: Message {
    /// In the guest's outermost PID namespace.
    public var pids: [UInt32] = []
    public init() {}
    public static let fields: [Field<ContainerProcesses>] = [.repeated(1, \.pids, .uint32)]
}

public struct OutOfMemoryCount: Message {
    public var containerID = ""
    /// `oom_kill` of the cgroup's `memory.events`.
    public var kills: UInt64 = 0
    public init() {}
    public static let fields: [Field<OutOfMemoryCount>] = [
        .singular(1, \.containerID, .string), .singular(2, \.kills, .uint64),
    ]
}

/// A container's cgroup as the kernel counts it (`Documentation/admin-guide/cgroup-v2.rst`); the maps hold the flat-keyed
/// files as they are, with numbers in the files' own units.
public struct ContainerStats: Message {
    /// The guest's `CLOCK_REALTIME`.
    public var atInNanoseconds: UInt64 = 0
    public var cpu: [String: UInt64] = [:]
    /// `memory.current` and, where there is a limit, `memory.max`; the same of swap.
    public var memoryInBytes: UInt64 = 0
    public var memoryLimitInBytes: UInt64?
    public var swapInBytes: UInt64 = 0
    public var swapLimitInBytes: UInt64?
    /// `memory.stat` and `memory.events`.
    public var memory: [String: UInt64] = [:]
    public var memoryEvents: [String: UInt64] = [:]
    public var processes: UInt64 = 0
    public var processLimit: UInt64?
    public var devices: [Device] = []
    public init() {}
    public static let fields: [Field<ContainerStats>] = [
        .singular(1, \.atInNanoseconds, .uint64), .map(2, \.cpu, .uint64), .singular(3, \.memoryInBytes, .uint64),
        .optional(4, \.memoryLimitInBytes, .uint64), .singular(5, \.swapInBytes, .uint64),
        .optional(6, \.swapLimitInBytes, .uint64), .map(7, \.memory, .uint64), .map(8, \.memoryEvents, .uint64),
        .singular(9, \.processes, .uint64), .optional(10, \.processLimit, .uint64), .repeated(11, \.devices, .message),
    ]

    /// A line of `io.stat`.
    public struct Device: Message {
        public var major: UInt64 = 0
        public var minor: UInt64 = 0
        public var readBytes: UInt64 = 0
        public var writtenBytes: UInt64 = 0
        public var reads: UInt64 = 0
        public var writes: UInt64 = 0
        public init() {}
        public static let fields: [Field<Device>] = [
            .singular(1, \.major, .uint64), .singular(2, \.minor, .uint64), .singular(3, \.readBytes, .uint64),
            .singular(4, \.writtenBytes, .uint64), .singular(5, \.reads, .uint64), .singular(6, \.writes, .uint64),
        ]
    }
}

import Protobuf

public struct ContainerReference: Message {
    public var containerID = ""
    public init() {}
    public init(_ containerID: String) { self.containerID = containerID }
    public mutating func fields(_ field: inout Fields) {
        field(1, &containerID)
    }
}

public struct UpdateContainerRequest: Message {
    public var containerID = ""
    /// Device rules are not looked at.
    public var resources = Resources()
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &containerID)
        field(2, &resources)
    }
}

public struct ContainerProcesses: Message {
    /// In the guest's outermost PID namespace.
    public var pids: [UInt32] = []
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &pids)
    }
}

public struct OutOfMemoryCount: Message {
    public var containerID = ""
    /// `oom_kill` of the cgroup's `memory.events`.
    public var kills: UInt64 = 0
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &containerID)
        field(2, &kills)
    }
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
    public mutating func fields(_ field: inout Fields) {
        field(1, &atInNanoseconds)
        field(2, &cpu)
        field(3, &memoryInBytes)
        field(4, &memoryLimitInBytes)
        field(5, &swapInBytes)
        field(6, &swapLimitInBytes)
        field(7, &memory)
        field(8, &memoryEvents)
        field(9, &processes)
        field(10, &processLimit)
        field(11, &devices)
    }

    /// A line of `io.stat`.
    public struct Device: Message {
        public var major: UInt64 = 0
        public var minor: UInt64 = 0
        public var readBytes: UInt64 = 0
        public var writtenBytes: UInt64 = 0
        public var reads: UInt64 = 0
        public var writes: UInt64 = 0
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &major)
            field(2, &minor)
            field(3, &readBytes)
            field(4, &writtenBytes)
            field(5, &reads)
            field(6, &writes)
        }
    }
}

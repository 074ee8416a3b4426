import Protobuf

public struct CloseIORequest: Message {
    public var id = ""
    public var execID = ""
    public var stdin = false
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &id)
        field(2, &execID)
        field(3, &stdin)
    }
}

public struct PidsResponse: Message {
    /// `containerd.v1.types.ProcessInfo`.
    public struct Process: Message {
        public var pid: UInt32 = 0
        /// `containerd.runc.v1.ProcessDetails` for a process that was added.
        public var info: AnyMessage?
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &pid)
            field(2, &info)
        }
    }

    public var processes: [Process] = []
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &processes)
    }
}

public struct UpdateTaskRequest: Message {
    public var id = ""
    /// The runtime specification's `linux.resources` as JSON.
    public var resources: AnyMessage?
    public var annotations: [String: String] = [:]
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &id)
        field(2, &resources)
        field(3, &annotations)
    }
}

public struct StatsResponse: Message {
    public var stats: AnyMessage?
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &stats)
    }
}

import Protobuf

public struct CloseIORequest: Message {
    public var id = ""
    public var execID = ""
    public var stdin = false
    public init() {}
    public static let fields: [Field<CloseIORequest>] = [
        .singular(1, \.id, .string), .singular(2, \.execID, .string), .singular(3, \.stdin, .bool),
    ]
}

public struct PidsResponse: Message {
    /// `containerd.v1.types.ProcessInfo`.
    public struct Process: Message {
        public var pid: UInt32 = 0
        /// `containerd.runc.v1.ProcessDetails` for a process that was added.
        public var info: AnyMessage?
        public init() {}
        public static let fields: [Field<Process>] = [.singular(1, \.pid, .uint32), .optional(2, \.info, .message)]
    }

    public var processes: [Process] = []
    public init() {}
    public static let fields: [Field<PidsResponse>] = [.repeated(1, \.processes, .message)]
}

public struct UpdateTaskRequest: Message {
    public var id = ""
    /// The runtime specification's `linux.resources` as JSON.
    public var resources: AnyMessage?
    public var annotations: [String: String] = [:]
    public init() {}
    public static let fields: [Field<UpdateTaskRequest>] = [
        .singular(1, \.id, .string), .optional(2, \.resources, .message), .map(3, \.annotations, .string),
    ]
}

public struct StatsResponse: Message {
    public var stats: AnyMessage?
    public init() {}
    public static let fields: [Field<StatsResponse>] = [.optional(1, \.stats, .message)]
}

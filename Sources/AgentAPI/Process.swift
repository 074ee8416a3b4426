import Protobuf

/// Names a process: a container's init has an empty process id.
public struct ProcessReference: Message {
    public var containerID = ""
    public var processID = ""
    public init() {}
    public init(containerID: String, processID: String = "") {
        self.containerID = containerID
        self.processID = processID
    }
    public static let fields: [Field<ProcessReference>] = [
        .singular(1, \.containerID, .string), .singular(2, \.processID, .string),
    ]
}

public struct ProcessResponse: Message {
    /// In the guest's outermost PID namespace.
    public var pid: UInt32 = 0
    public init() {}
    public static let fields: [Field<ProcessResponse>] = [.singular(1, \.pid, .uint32)]
}

/// Where a process's streams go: ports on the host that the agent dials once each before the process starts. A port of 0
/// means `/dev/null`. With a terminal, `stdin` and `stdout` are the terminal's two directions and there is no `stderr`.
public struct ProcessIO: Message {
    public var stdinPort: UInt32 = 0
    public var stdoutPort: UInt32 = 0
    public var stderrPort: UInt32 = 0
    public init() {}
    public static let fields: [Field<ProcessIO>] = [
        .singular(1, \.stdinPort, .uint32), .singular(2, \.stdoutPort, .uint32), .singular(3, \.stderrPort, .uint32),
    ]
}

public struct CreateProcessRequest: Message {
    public var containerID = ""
    public var processID = ""
    public var process = ProcessSpec()
    public var io = ProcessIO()
    public init() {}
    public static let fields: [Field<CreateProcessRequest>] = [
        .singular(1, \.containerID, .string), .singular(2, \.processID, .string), .singular(3, \.process, .message),
        .singular(4, \.io, .message),
    ]
}

public struct WaitProcessResponse: Message {
    /// 0–255: the program's exit code, or 128 + the signal that ended it.
    public var exitStatus: UInt32 = 0
    /// The signal that ended it, or 0.
    public var signal: UInt32 = 0
    /// The guest's `CLOCK_REALTIME`.
    public var exitedAtInNanoseconds: UInt64 = 0
    /// Whether the kernel killed a process of the container for want of memory.
    public var outOfMemory = false
    public init() {}
    public static let fields: [Field<WaitProcessResponse>] = [
        .singular(1, \.exitStatus, .uint32), .singular(2, \.signal, .uint32),
        .singular(3, \.exitedAtInNanoseconds, .uint64), .singular(4, \.outOfMemory, .bool),
    ]
}

public struct SignalProcessRequest: Message {
    public var process = ProcessReference()
    public var signal: UInt32 = 0
    /// Every process of the container, by its cgroup.
    public var all = false
    public init() {}
    public static let fields: [Field<SignalProcessRequest>] = [
        .singular(1, \.process, .message), .singular(2, \.signal, .uint32), .singular(3, \.all, .bool),
    ]
}

public struct ResizeTerminalRequest: Message {
    public var process = ProcessReference()
    public var rows: UInt32 = 0
    public var columns: UInt32 = 0
    public init() {}
    public static let fields: [Field<ResizeTerminalRequest>] = [
        .singular(1, \.process, .message), .singular(2, \.rows, .uint32), .singular(3, \.columns, .uint32),
    ]
}

/// The runtime specification's `process` object
/// (<https://github.com/opencontainers/runtime-spec/blob/main/config.md#process>).
public struct ProcessSpec: Message {
    public var terminal = false
    public var rows: UInt32 = 0
    public var columns: UInt32 = 0
    /// `user[:group]`, names or numbers, as an image's config has it. Looked up in the container's `/etc/passwd` and
    /// `/etc/group`; takes the place of `uid`, `gid` and the groups the user is in. Empty: the numbers below hold.
    public var user = ""
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    public var umask: UInt32?
    public var additionalGids: [UInt32] = []
    public var arguments: [String] = []
    /// `NAME=value`. The agent adds `HOME` of the user where it is missing.
    public var environment: [String] = []
    public var workingDirectory = "/"
    public var capabilities = Capabilities()
    public var rlimits: [Rlimit] = []
    public var noNewPrivileges = false
    public var oomScoreAdjustment: Int32?
    public init() {}
    public static let fields: [Field<ProcessSpec>] = [
        .singular(1, \.terminal, .bool), .singular(2, \.rows, .uint32), .singular(3, \.columns, .uint32),
        .singular(4, \.user, .string), .singular(5, \.uid, .uint32), .singular(6, \.gid, .uint32),
        .optional(7, \.umask, .uint32), .repeated(8, \.additionalGids, .uint32), .repeated(9, \.arguments, .string),
        .repeated(10, \.environment, .string), .singular(11, \.workingDirectory, .string),
        .singular(12, \.capabilities, .message), .repeated(13, \.rlimits, .message),
        .singular(14, \.noNewPrivileges, .bool), .optional(15, \.oomScoreAdjustment, .int32),
    ]
}

/// Names such as `CAP_NET_RAW`; see capabilities(7) for the five sets.
public struct Capabilities: Message {
    public var bounding: [String] = []
    public var effective: [String] = []
    public var permitted: [String] = []
    public var inheritable: [String] = []
    public var ambient: [String] = []
    public init() {}
    public static let fields: [Field<Capabilities>] = [
        .repeated(1, \.bounding, .string), .repeated(2, \.effective, .string), .repeated(3, \.permitted, .string),
        .repeated(4, \.inheritable, .string), .repeated(5, \.ambient, .string),
    ]
}

/// `type` such as `RLIMIT_NOFILE`; limits in setrlimit(2)'s unit, UInt64.max for no limit.
public struct Rlimit: Message {
    public var type = ""
    public var soft: UInt64 = 0
    public var hard: UInt64 = 0
    public init() {}
    public static let fields: [Field<Rlimit>] = [
        .singular(1, \.type, .string), .singular(2, \.soft, .uint64), .singular(3, \.hard, .uint64),
    ]
}

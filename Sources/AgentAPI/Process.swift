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
    public mutating func fields(_ field: inout Fields) {
        field(1, &containerID)
        field(2, &processID)
    }
}

public struct ProcessResponse: Message {
    /// In the guest's outermost PID namespace.
    public var pid: UInt32 = 0
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &pid)
    }
}

/// Where a process's streams go: ports on the host that the agent dials once each before the process starts. A port of 0
/// means `/dev/null`. With a terminal, `stdin` and `stdout` are the terminal's two directions and there is no `stderr`.
public struct ProcessIO: Message {
    public var stdinPort: UInt32 = 0
    public var stdoutPort: UInt32 = 0
    public var stderrPort: UInt32 = 0
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &stdinPort)
        field(2, &stdoutPort)
        field(3, &stderrPort)
    }
}

public struct CreateProcessRequest: Message {
    public var containerID = ""
    public var processID = ""
    public var process = ProcessSpec()
    public var io = ProcessIO()
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &containerID)
        field(2, &processID)
        field(3, &process)
        field(4, &io)
    }
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
    public mutating func fields(_ field: inout Fields) {
        field(1, &exitStatus)
        field(2, &signal)
        field(3, &exitedAtInNanoseconds)
        field(4, &outOfMemory)
    }
}

public struct SignalProcessRequest: Message {
    public var process = ProcessReference()
    public var signal: UInt32 = 0
    /// Every process of the container, by its cgroup.
    public var all = false
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &process)
        field(2, &signal)
        field(3, &all)
    }
}

public struct ResizeTerminalRequest: Message {
    public var process = ProcessReference()
    public var rows: UInt32 = 0
    public var columns: UInt32 = 0
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &process)
        field(2, &rows)
        field(3, &columns)
    }
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
    public mutating func fields(_ field: inout Fields) {
        field(1, &terminal)
        field(2, &rows)
        field(3, &columns)
        field(4, &user)
        field(5, &uid)
        field(6, &gid)
        field(7, &umask)
        field(8, &additionalGids)
        field(9, &arguments)
        field(10, &environment)
        field(11, &workingDirectory)
        field(12, &capabilities)
        field(13, &rlimits)
        field(14, &noNewPrivileges)
        field(15, &oomScoreAdjustment)
    }
}

/// Names such as `CAP_NET_RAW`; see capabilities(7) for the five sets.
public struct Capabilities: Message {
    public var bounding: [String] = []
    public var effective: [String] = []
    public var permitted: [String] = []
    public var inheritable: [String] = []
    public var ambient: [String] = []
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &bounding)
        field(2, &effective)
        field(3, &permitted)
        field(4, &inheritable)
        field(5, &ambient)
    }
}

/// `type` such as `RLIMIT_NOFILE`; limits in setrlimit(2)'s unit, UInt64.max for no limit.
public struct Rlimit: Message {
    public var type = ""
    public var soft: UInt64 = 0
    public var hard: UInt64 = 0
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &type)
        field(2, &soft)
        field(3, &hard)
    }
}

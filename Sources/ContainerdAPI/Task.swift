import Protobuf
import TTRPC

/// containerd's Task service of runtime v2 (containerd `api/runtime/task/v2/shim.proto`), whose field numbers these are.
public enum TaskAPI {
    private static let service = "containerd.task.v2.Task"
    /// What containerd 2 calls the same service, with the same messages (`api/runtime/task/v3/shim.proto`).
    public static let version3 = "containerd.task.v3.Task"

    public static let state = RPC<StateRequest, StateResponse>(service, "State")
    public static let create = RPC<CreateTaskRequest, CreateTaskResponse>(service, "Create")
    public static let start = RPC<TaskProcess, StartResponse>(service, "Start")
    public static let delete = RPC<TaskProcess, DeleteResponse>(service, "Delete")
    public static let exec = RPC<ExecProcessRequest, Empty>(service, "Exec")
    public static let kill = RPC<KillRequest, Empty>(service, "Kill")
    public static let resizePty = RPC<ResizePtyRequest, Empty>(service, "ResizePty")
    public static let closeIO = RPC<CloseIORequest, Empty>(service, "CloseIO")
    public static let wait = RPC<TaskProcess, WaitResponse>(service, "Wait")
    public static let pids = RPC<TaskReference, PidsResponse>(service, "Pids")
    public static let pause = RPC<TaskReference, Empty>(service, "Pause")
    public static let resume = RPC<TaskReference, Empty>(service, "Resume")
    public static let checkpoint = RPC<TaskReference, Empty>(service, "Checkpoint")
    public static let update = RPC<UpdateTaskRequest, Empty>(service, "Update")
    public static let stats = RPC<TaskReference, StatsResponse>(service, "Stats")
    public static let connect = RPC<TaskReference, ConnectResponse>(service, "Connect")
    public static let shutdown = RPC<ShutdownRequest, Empty>(service, "Shutdown")
}

public typealias StateRequest = TaskProcess

/// The request of every call that names a process: a task's init has an empty exec id.
public struct TaskProcess: Message, Hashable {
    public var id = ""
    public var execID = ""
    public init() {}
    public init(id: String, execID: String = "") {
        self.id = id
        self.execID = execID
    }
    public mutating func fields(_ field: inout Fields) {
        field(1, &id)
        field(2, &execID)
    }
}

public struct CreateTaskRequest: Message {
    public var id = ""
    /// Directory that holds the runtime specification's `config.json`.
    public var bundle = ""
    public var rootfs: [Mount] = []
    public var terminal = false
    /// Paths of FIFOs, URIs (`inherit:N` is descriptor N of the sandbox's process), or empty for `/dev/null`.
    public var stdin = ""
    public var stdout = ""
    public var stderr = ""
    public var checkpoint = ""
    public var options: AnyMessage?
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &id)
        field(2, &bundle)
        field(3, &rootfs)
        field(4, &terminal)
        field(5, &stdin)
        field(6, &stdout)
        field(7, &stderr)
        field(8, &checkpoint)
        field(10, &options)
    }
}

public struct CreateTaskResponse: Message {
    public var pid: UInt32 = 0
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &pid)
    }
}

public struct StartResponse: Message {
    public var pid: UInt32 = 0
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &pid)
    }
}

public struct DeleteResponse: Message {
    public var pid: UInt32 = 0
    public var exitStatus: UInt32 = 0
    public var exitedAt: Timestamp?
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &pid)
        field(2, &exitStatus)
        field(3, &exitedAt)
    }
}

public struct ExecProcessRequest: Message {
    public var id = ""
    public var execID = ""
    public var terminal = false
    public var stdin = ""
    public var stdout = ""
    public var stderr = ""
    /// The runtime specification's `process` object as JSON.
    public var spec: AnyMessage?
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &id)
        field(2, &execID)
        field(3, &terminal)
        field(4, &stdin)
        field(5, &stdout)
        field(6, &stderr)
        field(7, &spec)
    }
}

public struct KillRequest: Message {
    public var id = ""
    public var execID = ""
    public var signal: UInt32 = 0
    public var all = false
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &id)
        field(2, &execID)
        field(3, &signal)
        field(4, &all)
    }
}

public struct ResizePtyRequest: Message {
    public var id = ""
    public var execID = ""
    public var width: UInt32 = 0
    public var height: UInt32 = 0
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &id)
        field(2, &execID)
        field(3, &width)
        field(4, &height)
    }
}

public struct WaitResponse: Message {
    public var exitStatus: UInt32 = 0
    public var exitedAt: Timestamp?
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &exitStatus)
        field(2, &exitedAt)
    }
}

public struct StateResponse: Message {
    /// `containerd.v1.types.Status`.
    public enum Status: Int32 {
        case unknown = 0
        case created = 1
        case running = 2
        case stopped = 3
        case paused = 4
    }

    public var id = ""
    public var bundle = ""
    public var pid: UInt32 = 0
    public var status: Int32 = 0
    public var stdin = ""
    public var stdout = ""
    public var stderr = ""
    public var terminal = false
    public var exitStatus: UInt32 = 0
    public var exitedAt: Timestamp?
    public var execID = ""
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &id)
        field(2, &bundle)
        field(3, &pid)
        field(4, &status)
        field(5, &stdin)
        field(6, &stdout)
        field(7, &stderr)
        field(8, &terminal)
        field(9, &exitStatus)
        field(10, &exitedAt)
        field(11, &execID)
    }
}

/// The request of every call that needs no more than the task's id.
public struct TaskReference: Message {
    public var id = ""
    public init() {}
    public init(_ id: String) { self.id = id }
    public mutating func fields(_ field: inout Fields) {
        field(1, &id)
    }
}

public struct ConnectResponse: Message {
    public var shimPID: UInt32 = 0
    public var taskPID: UInt32 = 0
    public var version = ""
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &shimPID)
        field(2, &taskPID)
        field(3, &version)
    }
}

public struct ShutdownRequest: Message {
    public var id = ""
    public var now = false
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &id)
        field(2, &now)
    }
}

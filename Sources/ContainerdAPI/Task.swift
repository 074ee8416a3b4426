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
    public static let fields: [Field<TaskProcess>] = [.singular(1, \.id, .string), .singular(2, \.execID, .string)]
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
    public static let fields: [Field<CreateTaskRequest>] = [
        .singular(1, \.id, .string), .singular(2, \.bundle, .string), .repeated(3, \.rootfs, .message),
        .singular(4, \.terminal, .bool), .singular(5, \.stdin, .string), .singular(6, \.stdout, .string),
        .singular(7, \.stderr, .string), .singular(8, \.checkpoint, .string),
        .optional(10, \.options, .message),
    ]
}

public struct CreateTaskResponse: Message {
    public var pid: UInt32 = 0
    public init() {}
    public static let fields: [Field<CreateTaskResponse>] = [.singular(1, \.pid, .uint32)]
}

public struct StartResponse: Message {
    public var pid: UInt32 = 0
    public init() {}
    public static let fields: [Field<StartResponse>] = [.singular(1, \.pid, .uint32)]
}

public struct DeleteResponse: Message {
    public var pid: UInt32 = 0
    public var exitStatus: UInt32 = 0
    public var exitedAt: Timestamp?
    public init() {}
    public static let fields: [Field<DeleteResponse>] = [
        .singular(1, \.pid, .uint32), .singular(2, \.exitStatus, .uint32), .optional(3, \.exitedAt, .message),
    ]
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
    public static let fields: [Field<ExecProcessRequest>] = [
        .singular(1, \.id, .string), .singular(2, \.execID, .string), .singular(3, \.terminal, .bool),
        .singular(4, \.stdin, .string), .singular(5, \.stdout, .string), .singular(6, \.stderr, .string),
        .optional(7, \.spec, .message),
    ]
}

public struct KillRequest: Message {
    public var id = ""
    public var execID = ""
    public var signal: UInt32 = 0
    public var all = false
    public init() {}
    public static let fields: [Field<KillRequest>] = [
        .singular(1, \.id, .string), .singular(2, \.execID, .string), .singular(3, \.signal, .uint32),
        .singular(4, \.all, .bool),
    ]
}

public struct ResizePtyRequest: Message {
    public var id = ""
    public var execID = ""
    public var width: UInt32 = 0
    public var height: UInt32 = 0
    public init() {}
    public static let fields: [Field<ResizePtyRequest>] = [
        .singular(1, \.id, .string), .singular(2, \.execID, .string), .singular(3, \.width, .uint32),
        .singular(4, \.height, .uint32),
    ]
}

public struct WaitResponse: Message {
    public var exitStatus: UInt32 = 0
    public var exitedAt: Timestamp?
    public init() {}
    public static let fields: [Field<WaitResponse>] = [
        .singular(1, \.exitStatus, .uint32), .optional(2, \.exitedAt, .message),
    ]
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
    public static let fields: [Field<StateResponse>] = [
        .singular(1, \.id, .string), .singular(2, \.bundle, .string), .singular(3, \.pid, .uint32),
        .singular(4, \.status, .int32), .singular(5, \.stdin, .string), .singular(6, \.stdout, .string),
        .singular(7, \.stderr, .string), .singular(8, \.terminal, .bool), .singular(9, \.exitStatus, .uint32),
        .optional(10, \.exitedAt, .message), .singular(11, \.execID, .string),
    ]
}

/// The request of every call that needs no more than the task's id.
public struct TaskReference: Message {
    public var id = ""
    public init() {}
    public init(_ id: String) { self.id = id }
    public static let fields: [Field<TaskReference>] = [.singular(1, \.id, .string)]
}

public struct ConnectResponse: Message {
    public var shimPID: UInt32 = 0
    public var taskPID: UInt32 = 0
    public var version = ""
    public init() {}
    public static let fields: [Field<ConnectResponse>] = [
        .singular(1, \.shimPID, .uint32), .singular(2, \.taskPID, .uint32), .singular(3, \.version, .string),
    ]
}

public struct ShutdownRequest: Message {
    public var id = ""
    public var now = false
    public init() {}
    public static let fields: [Field<ShutdownRequest>] = [.singular(1, \.id, .string), .singular(2, \.now, .bool)]
}

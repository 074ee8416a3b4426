import Protobuf
import TTRPC

/// Where containerd takes events (containerd `api/services/ttrpc/events/v1/events.proto`).
public enum EventsAPI {
    public static let forward = RPC<ForwardRequest, Empty>("containerd.services.events.ttrpc.v1.Events", "Forward")
}

public struct ForwardRequest: Message {
    public struct Envelope: Message {
        public var timestamp: Timestamp?
        public var namespace = ""
        /// Such as `/tasks/start`.
        public var topic = ""
        public var event: AnyMessage?
        public init() {}
        public static let fields: [Field<Envelope>] = [
            .optional(1, \.timestamp, .message), .singular(2, \.namespace, .string), .singular(3, \.topic, .string),
            .optional(4, \.event, .message),
        ]
    }

    public var envelope: Envelope?
    public init() {}
    public static let fields: [Field<ForwardRequest>] = [.optional(1, \.envelope, .message)]
}

/// An event of a task: a message, and the topic it is published under.
public protocol TaskEvent: Message {
    static var topic: String { get }
    /// The message's full name.
    static var typeURL: String { get }
}

/// The events of tasks (containerd `api/events/task.proto`).
public enum TaskEvents {
    public struct Create: TaskEvent {
        public static let topic = "/tasks/create"
        public static let typeURL = "containerd.events.TaskCreate"
        public var containerID = ""
        public var bundle = ""
        public var rootfs: [Mount] = []
        public var io: IO?
        public var pid: UInt32 = 0
        public init() {}
        public static let fields: [Field<Create>] = [
            .singular(1, \.containerID, .string), .singular(2, \.bundle, .string), .repeated(3, \.rootfs, .message),
            .optional(4, \.io, .message), .singular(6, \.pid, .uint32),
        ]
    }

    public struct IO: Message {
        public var stdin = ""
        public var stdout = ""
        public var stderr = ""
        public var terminal = false
        public init() {}
        public static let fields: [Field<IO>] = [
            .singular(1, \.stdin, .string), .singular(2, \.stdout, .string), .singular(3, \.stderr, .string),
            .singular(4, \.terminal, .bool),
        ]
    }

    public struct Start: TaskEvent {
        public static let topic = "/tasks/start"
        public static let typeURL = "containerd.events.TaskStart"
        public var containerID = ""
        public var pid: UInt32 = 0
        public init() {}
        public static let fields: [Field<Start>] = [
            .singular(1, \.containerID, .string), .singular(2, \.pid, .uint32),
        ]
    }

    public struct Delete: TaskEvent {
        public static let topic = "/tasks/delete"
        public static let typeURL = "containerd.events.TaskDelete"
        public var containerID = ""
        public var pid: UInt32 = 0
        public var exitStatus: UInt32 = 0
        public var exitedAt: Timestamp?
        public init() {}
        public static let fields: [Field<Delete>] = [
            .singular(1, \.containerID, .string), .singular(2, \.pid, .uint32), .singular(3, \.exitStatus, .uint32),
            .optional(4, \.exitedAt, .message),
        ]
    }

    public struct Exit: TaskEvent {
        public static let topic = "/tasks/exit"
        public static let typeURL = "containerd.events.TaskExit"
        public var containerID = ""
        /// Of the process: the container's own for its init.
        public var id = ""
        public var pid: UInt32 = 0
        public var exitStatus: UInt32 = 0
        public var exitedAt: Timestamp?
        public init() {}
        public static let fields: [Field<Exit>] = [
            .singular(1, \.containerID, .string), .singular(2, \.id, .string), .singular(3, \.pid, .uint32),
            .singular(4, \.exitStatus, .uint32), .optional(5, \.exitedAt, .message),
        ]
    }

    public struct ExecAdded: TaskEvent {
        public static let topic = "/tasks/exec-added"
        public static let typeURL = "containerd.events.TaskExecAdded"
        public var containerID = ""
        public var execID = ""
        public init() {}
        public static let fields: [Field<ExecAdded>] = [
            .singular(1, \.containerID, .string), .singular(2, \.execID, .string),
        ]
    }

    public struct ExecStarted: TaskEvent {
        public static let topic = "/tasks/exec-started"
        public static let typeURL = "containerd.events.TaskExecStarted"
        public var containerID = ""
        public var execID = ""
        public var pid: UInt32 = 0
        public init() {}
        public static let fields: [Field<ExecStarted>] = [
            .singular(1, \.containerID, .string), .singular(2, \.execID, .string), .singular(3, \.pid, .uint32),
        ]
    }

    public struct OOM: TaskEvent {
        public static let topic = "/tasks/oom"
        public static let typeURL = "containerd.events.TaskOOM"
        public var containerID = ""
        public init() {}
        public static let fields: [Field<OOM>] = [.singular(1, \.containerID, .string)]
    }

    public struct Paused: TaskEvent {
        public static let topic = "/tasks/paused"
        public static let typeURL = "containerd.events.TaskPaused"
        public var containerID = ""
        public init() {}
        public static let fields: [Field<Paused>] = [.singular(1, \.containerID, .string)]
    }

    public struct Resumed: TaskEvent {
        public static let topic = "/tasks/resumed"
        public static let typeURL = "containerd.events.TaskResumed"
        public var containerID = ""
        public init() {}
        public static let fields: [Field<Resumed>] = [.singular(1, \.containerID, .string)]
    }
}

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
        public mutating func fields(_ field: inout Fields) {
            field(1, &timestamp)
            field(2, &namespace)
            field(3, &topic)
            field(4, &event)
        }
    }

    public var envelope: Envelope?
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &envelope)
    }
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
        public mutating func fields(_ field: inout Fields) {
            field(1, &containerID)
            field(2, &bundle)
            field(3, &rootfs)
            field(4, &io)
            field(6, &pid)
        }
    }

    public struct IO: Message {
        public var stdin = ""
        public var stdout = ""
        public var stderr = ""
        public var terminal = false
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &stdin)
            field(2, &stdout)
            field(3, &stderr)
            field(4, &terminal)
        }
    }

    public struct Start: TaskEvent {
        public static let topic = "/tasks/start"
        public static let typeURL = "containerd.events.TaskStart"
        public var containerID = ""
        public var pid: UInt32 = 0
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &containerID)
            field(2, &pid)
        }
    }

    public struct Delete: TaskEvent {
        public static let topic = "/tasks/delete"
        public static let typeURL = "containerd.events.TaskDelete"
        public var containerID = ""
        public var pid: UInt32 = 0
        public var exitStatus: UInt32 = 0
        public var exitedAt: Timestamp?
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &containerID)
            field(2, &pid)
            field(3, &exitStatus)
            field(4, &exitedAt)
        }
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
        public mutating func fields(_ field: inout Fields) {
            field(1, &containerID)
            field(2, &id)
            field(3, &pid)
            field(4, &exitStatus)
            field(5, &exitedAt)
        }
    }

    public struct ExecAdded: TaskEvent {
        public static let topic = "/tasks/exec-added"
        public static let typeURL = "containerd.events.TaskExecAdded"
        public var containerID = ""
        public var execID = ""
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &containerID)
            field(2, &execID)
        }
    }

    public struct ExecStarted: TaskEvent {
        public static let topic = "/tasks/exec-started"
        public static let typeURL = "containerd.events.TaskExecStarted"
        public var containerID = ""
        public var execID = ""
        public var pid: UInt32 = 0
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &containerID)
            field(2, &execID)
            field(3, &pid)
        }
    }

    public struct OOM: TaskEvent {
        public static let topic = "/tasks/oom"
        public static let typeURL = "containerd.events.TaskOOM"
        public var containerID = ""
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &containerID)
        }
    }

    public struct Paused: TaskEvent {
        public static let topic = "/tasks/paused"
        public static let typeURL = "containerd.events.TaskPaused"
        public var containerID = ""
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &containerID)
        }
    }

    public struct Resumed: TaskEvent {
        public static let topic = "/tasks/resumed"
        public static let typeURL = "containerd.events.TaskResumed"
        public var containerID = ""
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &containerID)
        }
    }
}

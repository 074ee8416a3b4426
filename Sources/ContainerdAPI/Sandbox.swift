import Protobuf
import TTRPC

/// containerd's Sandbox service (containerd `api/runtime/sandbox/v1/sandbox.proto`), whose field numbers these are: a pod's
/// sandbox that is there before its containers, without one of its own.
public enum PodSandboxAPI {
    public static let service = "containerd.runtime.sandbox.v1.Sandbox"

    public static let create = RPC<CreateSandboxRequest, Empty>(service, "CreateSandbox")
    public static let start = RPC<SandboxReference, StartSandboxResponse>(service, "StartSandbox")
    public static let platform = RPC<SandboxReference, PlatformResponse>(service, "Platform")
    public static let stop = RPC<SandboxReference, Empty>(service, "StopSandbox")
    public static let wait = RPC<SandboxReference, WaitResponse>(service, "WaitSandbox")
    public static let status = RPC<SandboxReference, SandboxStatusResponse>(service, "SandboxStatus")
    public static let ping = RPC<SandboxReference, Empty>(service, "PingSandbox")
    public static let shutdown = RPC<SandboxReference, Empty>(service, "ShutdownSandbox")
}

/// The request of every call that needs no more than the sandbox's id.
public struct SandboxReference: Message {
    public var sandboxID = ""
    public init() {}
    public static let fields: [Field<SandboxReference>] = [.singular(1, \.sandboxID, .string)]
}

public struct CreateSandboxRequest: Message {
    public var sandboxID = ""
    public var bundlePath = ""
    /// The CRI's `PodSandboxConfig`, or none.
    public var options: AnyMessage?
    /// Empty for a client that made no network.
    public var networkNamespacePath = ""
    public var annotations: [String: String] = [:]
    public init() {}
    public static let fields: [Field<CreateSandboxRequest>] = [
        .singular(1, \.sandboxID, .string), .singular(2, \.bundlePath, .string), .optional(4, \.options, .message),
        .singular(5, \.networkNamespacePath, .string), .map(6, \.annotations, .string),
    ]
}

public struct StartSandboxResponse: Message {
    public var pid: UInt32 = 0
    public var createdAt: Timestamp?
    public init() {}
    public static let fields: [Field<StartSandboxResponse>] = [
        .singular(1, \.pid, .uint32), .optional(2, \.createdAt, .message),
    ]
}

public struct PlatformResponse: Message {
    /// `containerd.types.Platform`.
    public struct Platform: Message {
        public var os = ""
        public var architecture = ""
        public init() {}
        public static let fields: [Field<Platform>] = [
            .singular(1, \.os, .string), .singular(2, \.architecture, .string),
        ]
    }

    public var platform: Platform?
    public init() {}
    public static let fields: [Field<PlatformResponse>] = [.optional(1, \.platform, .message)]
}

public struct SandboxStatusResponse: Message {
    public var sandboxID = ""
    public var pid: UInt32 = 0
    /// `SANDBOX_READY` or `SANDBOX_NOTREADY`.
    public var state = ""
    public var info: [String: String] = [:]
    public var createdAt: Timestamp?
    public var exitedAt: Timestamp?
    public init() {}
    public static let fields: [Field<SandboxStatusResponse>] = [
        .singular(1, \.sandboxID, .string), .singular(2, \.pid, .uint32), .singular(3, \.state, .string),
        .map(4, \.info, .string), .optional(5, \.createdAt, .message), .optional(6, \.exitedAt, .message),
    ]
}

/// The CRI's `PodSandboxConfig` (Kubernetes `cri-api/pkg/apis/runtime/v1/api.proto`), as far as it says what a virtual machine
/// has to be.
public struct PodSandboxConfig: Message {
    public static let typeURL = "runtime.v1.PodSandboxConfig"

    public struct Linux: Message {
        public var securityContext: SecurityContext?
        public var sysctls: [String: String] = [:]
        public var resources: Resources?
        public init() {}
        public static let fields: [Field<Linux>] = [
            .optional(2, \.securityContext, .message), .map(3, \.sysctls, .string), .optional(5, \.resources, .message),
        ]
    }

    public struct SecurityContext: Message {
        public var namespaces: Namespaces?
        public init() {}
        public static let fields: [Field<SecurityContext>] = [.optional(1, \.namespaces, .message)]
    }

    /// `NamespaceOption`: 0 is the pod's, 1 the container's, 2 the node's.
    public struct Namespaces: Message {
        public static let node: Int32 = 2
        public var network: Int32 = 0
        public init() {}
        public static let fields: [Field<Namespaces>] = [.singular(1, \.network, .int32)]
    }

    /// Of all containers together.
    public struct Resources: Message {
        public var cpuPeriod: Int64 = 0
        public var cpuQuota: Int64 = 0
        public var cpuShares: Int64 = 0
        public var memoryLimitInBytes: Int64 = 0
        public init() {}
        public static let fields: [Field<Resources>] = [
            .singular(1, \.cpuPeriod, .int64), .singular(2, \.cpuQuota, .int64), .singular(3, \.cpuShares, .int64),
            .singular(4, \.memoryLimitInBytes, .int64),
        ]
    }

    public var hostname = ""
    public var annotations: [String: String] = [:]
    public var linux: Linux?
    public init() {}
    public static let fields: [Field<PodSandboxConfig>] = [
        .singular(2, \.hostname, .string), .map(7, \.annotations, .string), .optional(8, \.linux, .message),
    ]
}

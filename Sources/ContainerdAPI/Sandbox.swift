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
    public mutating func fields(_ field: inout Fields) {
        field(1, &sandboxID)
    }
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
    public mutating func fields(_ field: inout Fields) {
        field(1, &sandboxID)
        field(2, &bundlePath)
        field(4, &options)
        field(5, &networkNamespacePath)
        field(6, &annotations)
    }
}

public struct StartSandboxResponse: Message {
    public var pid: UInt32 = 0
    public var createdAt: Timestamp?
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &pid)
        field(2, &createdAt)
    }
}

public struct PlatformResponse: Message {
    /// `containerd.types.Platform`.
    public struct Platform: Message {
        public var os = ""
        public var architecture = ""
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &os)
            field(2, &architecture)
        }
    }

    public var platform: Platform?
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &platform)
    }
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
    public mutating func fields(_ field: inout Fields) {
        field(1, &sandboxID)
        field(2, &pid)
        field(3, &state)
        field(4, &info)
        field(5, &createdAt)
        field(6, &exitedAt)
    }
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
        public mutating func fields(_ field: inout Fields) {
            field(2, &securityContext)
            field(3, &sysctls)
            field(5, &resources)
        }
    }

    public struct SecurityContext: Message {
        public var namespaces: Namespaces?
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &namespaces)
        }
    }

    /// `NamespaceOption`: 0 is the pod's, 1 the container's, 2 the node's.
    public struct Namespaces: Message {
        public static let node: Int32 = 2
        public var network: Int32 = 0
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &network)
        }
    }

    /// Of all containers together.
    public struct Resources: Message {
        public var cpuPeriod: Int64 = 0
        public var cpuQuota: Int64 = 0
        public var cpuShares: Int64 = 0
        public var memoryLimitInBytes: Int64 = 0
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &cpuPeriod)
            field(2, &cpuQuota)
            field(3, &cpuShares)
            field(4, &memoryLimitInBytes)
        }
    }

    public var hostname = ""
    public var annotations: [String: String] = [:]
    public var linux: Linux?
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(2, &hostname)
        field(7, &annotations)
        field(8, &linux)
    }
}

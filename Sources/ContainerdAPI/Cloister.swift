import Protobuf
import TTRPC

/// What the sandbox's process answers beside containerd's Task service.
public enum SandboxAPI {
    private static let service = "cloister.sandbox.Sandbox"

    /// Boots a builder sandbox, unpacks layers in it and ends it.
    public static let unpack = RPC<UnpackRequest, UnpackResponse>(service, "Unpack")
    /// Where the time of the start went, and how the sandbox ended if it has.
    public static let status = RPC<Empty, SandboxStatus>(service, "Status")
    /// An option of a root's layer: its directories are already what the layers below it make them.
    public static let completeLayer = "X-complete"
}

/// The `options` of the call that starts a sandbox: `Create` of its first task, or `Unpack`.
public struct SandboxOptions: Message {
    public static let typeURL = "cloister.sandbox.Options"

    /// `auto`, `kvm` or `emulation`; empty means `auto`.
    public var accelerator = ""
    public var kernel = ""
    public var initramfs = ""
    /// Of the virtual machine.
    public var memoryInBytes: UInt64 = 0
    public var vcpus: UInt32 = 0
    public var bootTimeoutInMilliseconds: UInt64 = 0
    /// Where libvirt's probe of QEMU is kept from one sandbox to the next.
    public var capabilityCache = ""
    public init() {}
    public static let fields: [Field<SandboxOptions>] = [
        .singular(1, \.accelerator, .string), .singular(2, \.kernel, .string), .singular(3, \.initramfs, .string),
        .singular(4, \.memoryInBytes, .uint64), .singular(5, \.vcpus, .uint32),
        .singular(6, \.bootTimeoutInMilliseconds, .uint64), .singular(7, \.capabilityCache, .string),
    ]
}

public struct UnpackRequest: Message {
    public struct Layer: Message {
        public var blobPath = ""
        public var blobSizeInBytes: UInt64 = 0
        /// Holds an empty ext4 filesystem.
        public var diskPath = ""
        /// Disks of the layers below, lowest first, finished or of this request's layers before; empty: not to be looked at.
        public var disksBelow: [String] = []
        public init() {}
        public static let fields: [Field<Layer>] = [
            .singular(1, \.blobPath, .string), .singular(2, \.blobSizeInBytes, .uint64),
            .singular(3, \.diskPath, .string), .repeated(4, \.disksBelow, .string),
        ]
    }

    public var options = SandboxOptions()
    public var layers: [Layer] = []
    public init() {}
    public static let fields: [Field<UnpackRequest>] = [
        .singular(1, \.options, .message), .repeated(2, \.layers, .message),
    ]
}

public struct UnpackResponse: Message {
    public struct Layer: Message {
        /// As the guest computed it, 64 hex digits.
        public var diffID = ""
        public var entries: UInt64 = 0
        public var contentInBytes: UInt64 = 0
        /// Directories that the layer has only for what lies in them.
        public var impliedDirectories: UInt64 = 0
        public init() {}
        public static let fields: [Field<Layer>] = [
            .singular(1, \.diffID, .string), .singular(2, \.entries, .uint64), .singular(3, \.contentInBytes, .uint64),
            .singular(4, \.impliedDirectories, .uint64),
        ]
    }

    /// In the order of the request.
    public var layers: [Layer] = []
    public init() {}
    public static let fields: [Field<UnpackResponse>] = [.repeated(1, \.layers, .message)]
}

public struct SandboxStatus: Message {
    public struct Step: Message {
        public var name = ""
        public var nanoseconds: UInt64 = 0
        public init() {}
        public static let fields: [Field<Step>] = [
            .singular(1, \.name, .string), .singular(2, \.nanoseconds, .uint64),
        ]
    }

    /// In the order they happened.
    public var steps: [Step] = []
    /// Why the sandbox ended by itself; empty while it runs.
    public var failure = ""
    /// `kvm` or `emulation`.
    public var accelerator = ""
    public var acceleratorReason = ""
    public init() {}
    public static let fields: [Field<SandboxStatus>] = [
        .repeated(1, \.steps, .message), .singular(2, \.failure, .string), .singular(3, \.accelerator, .string),
        .singular(4, \.acceleratorReason, .string),
    ]
}

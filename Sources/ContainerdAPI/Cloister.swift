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
    public mutating func fields(_ field: inout Fields) {
        field(1, &accelerator)
        field(2, &kernel)
        field(3, &initramfs)
        field(4, &memoryInBytes)
        field(5, &vcpus)
        field(6, &bootTimeoutInMilliseconds)
        field(7, &capabilityCache)
    }
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
        public mutating func fields(_ field: inout Fields) {
            field(1, &blobPath)
            field(2, &blobSizeInBytes)
            field(3, &diskPath)
            field(4, &disksBelow)
        }
    }

    public var options = SandboxOptions()
    public var layers: [Layer] = []
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &options)
        field(2, &layers)
    }
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
        public mutating func fields(_ field: inout Fields) {
            field(1, &diffID)
            field(2, &entries)
            field(3, &contentInBytes)
            field(4, &impliedDirectories)
        }
    }

    /// In the order of the request.
    public var layers: [Layer] = []
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &layers)
    }
}

public struct SandboxStatus: Message {
    public struct Step: Message {
        public var name = ""
        public var nanoseconds: UInt64 = 0
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &name)
            field(2, &nanoseconds)
        }
    }

    /// In the order they happened.
    public var steps: [Step] = []
    /// Why the sandbox ended by itself; empty while it runs.
    public var failure = ""
    /// `kvm` or `emulation`.
    public var accelerator = ""
    public var acceleratorReason = ""
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &steps)
        field(2, &failure)
        field(3, &accelerator)
        field(4, &acceleratorReason)
    }
}

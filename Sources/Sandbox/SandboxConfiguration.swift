import Hypervisor
import System

/// What a sandbox is made of, before it runs.
public struct SandboxConfiguration: Sendable {
    public var id: String
    /// Of this sandbox alone; whoever made it removes it. Sockets, console log and libvirt's files live in it.
    public var stateDirectory: String
    public var accelerator = AcceleratorChoice.auto
    public var kernel: String
    public var initramfs: String
    public var memoryInBytes: UInt64
    public var vcpus: Int
    /// From the machine's start to the agent's first words.
    public var bootTimeout: Duration
    /// Shared by all sandboxes of a user: what libvirt learnt of QEMU.
    public var capabilityCache: String

    public init(
        id: String, stateDirectory: String, kernel: String, initramfs: String, memoryInBytes: UInt64, vcpus: Int,
        bootTimeout: Duration, capabilityCache: String
    ) {
        self.id = id
        self.stateDirectory = stateDirectory
        self.kernel = kernel
        self.initramfs = initramfs
        self.memoryInBytes = memoryInBytes
        self.vcpus = vcpus
        self.bootTimeout = bootTimeout
        self.capabilityCache = capabilityCache
    }

    /// Names in the state directory.
    var vsockSocket: String { "\(stateDirectory)/vsock" }
    var consoleLog: String { "\(stateDirectory)/console.log" }
    var libvirtRoot: String { "\(stateDirectory)/vm" }
}

/// A failure of the engine, as one sentence for the person who started the sandbox.
public struct SandboxError: Error, CustomStringConvertible, Sendable {
    public enum Kind: Sendable {
        /// The request cannot be met as it was put.
        case invalid
        /// No such container or process.
        case notFound
        case alreadyExists
        /// Not in the state it is in.
        case wrongState
        /// The guest, QEMU or libvirt failed.
        case failed
    }

    public let kind: Kind
    public let description: String

    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}

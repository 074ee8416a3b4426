import Glibc
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
    /// Whether containers come with specifications made for the host, by containerd, and may share namespaces.
    public var isPod = false
    /// Whether this process is in a network namespace of the sandbox's, which the guest is to be joined to.
    public var hasNetwork = false
    /// Told in one line what does not work, where the sandbox goes on without.
    public var log: @Sendable (String) -> Void = { _ in }
    /// From the machine's start to the agent's first words.
    public var bootTimeout: Duration
    /// The program that serves the guest a share; nil for a sandbox without one. With it, containers may have roots and volumes
    /// that are directories of the host's. This process must have a mount namespace of its own then, entered before any
    /// thread was started.
    public var virtiofsd: String?
    /// Copies what is mounted at a directory of the host and below, as the host sees it. What is mounted after this process has
    /// got a mount namespace of its own appears there only where the host's mounts are shared (mount_namespaces(7)), and those
    /// below CRI-O's storage are not.
    public var copyOfHost: @Sendable (_ path: String) throws(SystemError) -> MountTree = { path throws(SystemError) in
        try MountTree(copying: path, recursively: true)
    }
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

    /// Whom QEMU runs as where this process is root: a number of its own for each sandbox, from a range that no user
    /// database and no user namespace hands out (systemd's `UIDS-GIDS.md`: 1879048192 and above), so that not even QEMUs can
    /// reach each other.
    static func unprivilegedUser() -> MachineConfiguration.User? {
        guard geteuid() == 0 else { return nil }
        let number = 0x7000_0000 + UInt32.random(in: 0..<0x0800_0000)
        return MachineConfiguration.User(uid: number, gid: number)
    }

    /// Names in the state directory.
    var vsockSocket: String { "\(stateDirectory)/vsock" }
    var consoleLog: String { "\(stateDirectory)/console.log" }
    var shareDirectory: String { "\(stateDirectory)/share" }
    var shareSocket: String { "\(stateDirectory)/files" }
    var shareLog: String { "\(stateDirectory)/files.log" }
    var deviceDirectory: String { "\(stateDirectory)/devices" }
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

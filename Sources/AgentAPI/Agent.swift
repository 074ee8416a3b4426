import Protobuf
import TTRPC

/// The contract between host and guest: ttrpc over the one vsock connection that the agent opens to the host. The host is
/// the client. Both sides are built from these declarations; `version` says whether they were built from the same ones.
public enum Agent {
    /// Raised by every change that an older side would misunderstand.
    public static let version: UInt32 = 7
    /// The vsock port on the host (CID 2) that the agent dials when it is up.
    public static let controlPort: UInt32 = 1024
    /// The words of the kernel command line that are the agent's own begin with this.
    public static let commandLinePrefix = "cloister."
    /// The virtiofs tag of the host's directory for this sandbox: container roots and volumes, mounted when first used.
    public static let shareTag = "share"
    /// On the command line: power off as soon as the agent is up, for measuring the bare life of a guest.
    public static let powerOffWord = "cloister.poweroff"

    private static let service = "cloister.agent.Agent"

    /// First call on a connection: compares versions, sets the clock, feeds the random number generator.
    public static let hello = RPC<HelloRequest, HelloResponse>(service, "Hello")
    /// Stops every container, syncs and powers off. The answer may be lost with the guest.
    public static let shutdown = RPC<Empty, Empty>(service, "Shutdown")
    /// Unpacks one layer onto an empty disk.
    public static let unpackLayer = RPC<UnpackLayerRequest, UnpackLayerResponse>(service, "UnpackLayer")

    /// Builds a container's rootfs and its init process, which waits for `startProcess`.
    public static let createContainer = RPC<CreateContainerRequest, ProcessResponse>(service, "CreateContainer")
    /// Adds a process to a running container; it waits for `startProcess`.
    public static let createProcess = RPC<CreateProcessRequest, ProcessResponse>(service, "CreateProcess")
    /// Lets a created process execute its program. Fails with `notFound` (no such program) or `permissionDenied` (not
    /// executable) where exec(2) says so.
    public static let startProcess = RPC<ProcessReference, ProcessResponse>(service, "StartProcess")
    /// Answers when the process has ended and all it wrote is on its way; what a slow reader has left goes on after that.
    public static let waitProcess = RPC<ProcessReference, WaitProcessResponse>(service, "WaitProcess")
    /// `notFound` when the process has ended.
    public static let signalProcess = RPC<SignalProcessRequest, Empty>(service, "SignalProcess")
    public static let resizeTerminal = RPC<ResizeTerminalRequest, Empty>(service, "ResizeTerminal")
    /// Forgets a process that has ended or was never started (which kills it); with an empty process id, the container.
    public static let deleteProcess = RPC<ProcessReference, Empty>(service, "DeleteProcess")

    /// Changes the limits of a container that runs; what is absent stays.
    public static let updateContainer = RPC<UpdateContainerRequest, Empty>(service, "UpdateContainer")
    /// Freezes every process of a container; answers when they stand.
    public static let pauseContainer = RPC<ContainerReference, Empty>(service, "PauseContainer")
    public static let resumeContainer = RPC<ContainerReference, Empty>(service, "ResumeContainer")
    public static let containerProcesses = RPC<ContainerReference, ContainerProcesses>(service, "ContainerProcesses")
    public static let containerStats = RPC<ContainerReference, ContainerStats>(service, "ContainerStats")
    /// Answers when the kernel has killed a process of the container for want of memory since the count given, or with the
    /// same count when the container is gone.
    public static let waitOutOfMemory = RPC<OutOfMemoryCount, OutOfMemoryCount>(service, "WaitOutOfMemory")

    /// Gives the guest's own network namespace its interfaces, addresses, routes and neighbours.
    public static let configureNetwork = RPC<ConfigureNetworkRequest, Empty>(service, "ConfigureNetwork")
    /// Connects to a TCP port of the guest's own network namespace and joins the connection to a stream port of the host.
    public static let dial = RPC<DialRequest, Empty>(service, "Dial")
}

public struct HelloRequest: Message {
    public var version: UInt32 = 0
    /// Since the Unix epoch, the host's `CLOCK_REALTIME`.
    public var realtimeInNanoseconds: UInt64 = 0
    /// Random bytes for the guest's generator; a clone of a booted guest must not repeat another's numbers.
    public var entropy: [UInt8] = []
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &version)
        field(2, &realtimeInNanoseconds)
        field(3, &entropy)
    }
}

public struct HelloResponse: Message {
    public var version: UInt32 = 0
    /// `uname -r` of the guest.
    public var kernelRelease = ""
    /// Since the guest's boot (its `CLOCK_MONOTONIC`): when the kernel started the agent, and when the agent dialed.
    public var agentStartInNanoseconds: UInt64 = 0
    public var agentReadyInNanoseconds: UInt64 = 0
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &version)
        field(2, &kernelRelease)
        field(3, &agentStartInNanoseconds)
        field(4, &agentReadyInNanoseconds)
    }
}

/// Disks are named by their virtio serial (`/sys/block/*/serial`, at most 20 bytes) and waited for: they may be plugged
/// in after boot.
public struct UnpackLayerRequest: Message {
    /// Serial of the read-only disk that holds the layer's blob from its first byte.
    public var blobDisk = ""
    /// The blob's size; the disk is rounded up to whole sectors.
    public var blobSizeInBytes: UInt64 = 0
    /// Serial of the disk to unpack onto, which holds an empty ext4 filesystem.
    public var targetDisk = ""
    /// Serials of the disks of the layers below, lowest first: what they say of directories that the layer has only for
    /// what lies in them becomes the layer's. Empty: that is left to who builds the overlay.
    public var disksBelow: [String] = []
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &blobDisk)
        field(2, &blobSizeInBytes)
        field(3, &targetDisk)
        field(4, &disksBelow)
    }
}

public struct UnpackLayerResponse: Message {
    /// SHA-256 of the uncompressed tar, 64 hex digits: the image specification's diffID.
    public var diffID = ""
    public var entries: UInt64 = 0
    /// Bytes of file content written.
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

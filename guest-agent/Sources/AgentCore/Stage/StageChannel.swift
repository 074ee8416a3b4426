import AgentAPI
import CSystem
import Glibc
import Protobuf
import System
import TTRPC

/// What the agent asks of an init stage: the first message on the channel between the two.
struct StageRequest: Message {
    var process = ProcessSpec()
    /// The container to make; absent, the process joins one.
    var container: ContainerSpec?
    /// The container's root as the agent sees it.
    var rootfs = ""
    var containerID = ""
    /// The kinds of namespaces the container has of its own; for a process that joins it, with those it shares.
    var namespaces: [String] = []
    var filter: SeccompFilter?
    /// The kinds of other containers' namespaces the container to make shares, in the order of their descriptors.
    var joinedKinds: [String] = []
    mutating func fields(_ field: inout Fields) {
        field(1, &process)
        field(2, &container)
        field(3, &rootfs)
        field(4, &containerID)
        field(5, &namespaces)
        field(6, &filter)
        field(7, &joinedKinds)
    }
}

/// What the stage answers: first that it is ready, or why not; after the word to start nothing (the channel closes as the
/// program is executed) or why it could not be.
struct StageReport: Message {
    /// An `RPCError.Code`; 0: ready.
    var code: Int32 = 0
    var message = ""
    mutating func fields(_ field: inout Fields) {
        field(1, &code)
        field(2, &message)
    }
}

/// A connected unix socket between the agent and one init stage: messages with a length of four bytes before them.
struct StageChannel: Sendable {
    /// The stage's end has this number, and beside it is the pidfd of the process whose namespaces it joins; or, where it
    /// makes a container, from there on the namespaces that the container shares.
    static let descriptor: Int32 = 3
    static let joinedProcessDescriptor: Int32 = 4
    static let firstNamespaceDescriptor: Int32 = 4
    private static let longestInBytes = 16 << 20
    private static let startByte: UInt8 = 0x53

    let socket: FileDescriptor

    func send(_ message: some Message, descriptor: Int32? = nil) throws(SystemError) {
        let body = message.encoded()
        var length = UInt32(body.count).littleEndian
        let fd = socket.raw
        var passed = descriptor ?? -1
        try syscall("send") { cs_send_fds(fd, &length, 4, &passed, descriptor == nil ? 0 : 1) }
        try socket.writeAll(body)
    }

    /// Nil when the other side is gone.
    func receive<M: Message>(_ type: M.Type) throws -> (message: M, descriptor: FileDescriptor?)? {
        var length: UInt32 = 0
        var passed: Int32 = -1
        var count: Int32 = 1
        let fd = socket.raw
        let received = try syscall("receive") {
            count = 1
            return cs_receive_fds(fd, &length, 4, &passed, &count)
        }
        let descriptor = count > 0 ? FileDescriptor(passed) : nil
        if received == 0 { return nil }
        // Four bytes written at once to an empty unix socket are read at once.
        guard received == 4, length <= UInt32(Self.longestInBytes) else { throw SystemError("receive", errno: EPROTO) }
        let body = length == 0 ? [] : try socket.readExactly(Int(length))
        guard let body else { return nil }
        return (try M(decoding: body), descriptor)
    }

    func sendStart() throws(SystemError) { try socket.writeAll([Self.startByte]) }

    /// False when the agent will not start the process.
    func waitForStart() throws(SystemError) -> Bool { try socket.readExactly(1) == [Self.startByte] }
}

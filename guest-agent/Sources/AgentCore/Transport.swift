import AgentAPI
import CAgent
import Glibc
import System

/// How the host is reached.
enum Transport: Sendable {
    case vsock
    /// Port n is the unix socket `directory/n`.
    case unixSockets(directory: String)

    /// The host's CID (vsock(7)).
    private static let hostCID: UInt32 = 2

    /// Connects to a port of the host. - Throws: `SystemError`; `ENODEV` while there is no vsock device.
    func dial(_ port: UInt32) throws(SystemError) -> FileDescriptor {
        switch self {
        case .vsock:
            FileDescriptor(try syscall("connect", "port \(port) of the host") { ca_vsock_connect(Self.hostCID, port) })
        case .unixSockets(let directory):
            try UnixSocket.connect("\(directory)/\(port)")
        }
    }
}

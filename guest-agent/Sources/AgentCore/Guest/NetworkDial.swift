import AgentAPI
import CSystem
import Glibc
import System
import TTRPC

/// Connections that the host opens to what listens in the guest's own network namespace.
enum NetworkDial {
    private static let bufferInBytes = 64 << 10

    /// - Throws: `SystemError`; `ECONNREFUSED` where nobody listens.
    static func join(_ request: DialRequest, _ transport: Transport) throws {
        guard let address = NetworkAddress(request.address), let port = UInt16(exactly: request.port) else {
            throw RPCError(.invalidArgument, "\(request.address) port \(request.port) is nothing to connect to")
        }
        let service = try connect(address, port, "\(request.address) port \(port)")
        let stream = try transport.dial(request.streamPort)
        Thread.start("dial-in") { carry(from: stream, to: service) }
        Thread.start("dial-out") { carry(from: service, to: stream) }
    }

    private static func connect(_ address: NetworkAddress, _ port: UInt16, _ name: String) throws(SystemError)
        -> FileDescriptor
    {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let socket = FileDescriptor(try syscall("socket", name) { Glibc.socket(Int32(address.family), type, 0) })
        let fd = socket.raw
        if address.family == UInt8(AF_INET) {
            var target = sockaddr_in()
            target.sin_family = sa_family_t(AF_INET)
            target.sin_port = port.bigEndian
            withUnsafeMutableBytes(of: &target.sin_addr) { $0.copyBytes(from: address.bytes) }
            try syscall("connect", name) { withSocketAddress(&target) { Glibc.connect(fd, $0, $1) } }
        } else {
            var target = sockaddr_in6()
            target.sin6_family = sa_family_t(AF_INET6)
            target.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &target.sin6_addr) { $0.copyBytes(from: address.bytes) }
            try syscall("connect", name) { withSocketAddress(&target) { Glibc.connect(fd, $0, $1) } }
        }
        return socket
    }

    private static func withSocketAddress<T>(
        _ address: inout T, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<T>.size)) }
        }
    }

    /// One direction, to its end. A reader that goes away ends the other direction too, as a writer would find out.
    private static func carry(from source: FileDescriptor, to sink: FileDescriptor) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferInBytes, alignment: 16)
        defer { buffer.deallocate() }
        while let count = try? source.read(into: buffer), count > 0 {
            var done = 0
            while done < count {
                let fd = sink.raw
                guard
                    let sent = try? syscall(
                        "write", "", { Glibc.write(fd, buffer.baseAddress?.advanced(by: done), count - done) })
                else {
                    _ = shutdown(source.raw, Int32(SHUT_RDWR))
                    return
                }
                done += sent
            }
        }
        _ = shutdown(sink.raw, Int32(SHUT_WR))
    }
}

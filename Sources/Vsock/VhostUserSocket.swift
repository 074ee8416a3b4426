import CSystem
import Glibc
import System

/// The connection to the front end: whole messages in, replies out. Never blocks.
final class VhostUserSocket {
    struct Message {
        var header: VhostUser.Header
        var payload: [UInt8]
        var descriptors: [FileDescriptor]

        var needsReply: Bool { header.flags & VhostUser.Header.needsReplyFlag != 0 }
    }

    enum Failure: Error, Equatable {
        case closed
        case malformed(String)
    }

    let descriptor: FileDescriptor
    private var bytes: [UInt8] = []
    private var descriptors: [FileDescriptor] = []

    /// - Throws: `SystemError`.
    init(_ descriptor: FileDescriptor) throws(SystemError) {
        self.descriptor = descriptor
        try descriptor.setNonBlocking()
    }

    /// The next whole message, or nil when it has not arrived yet. - Throws: `Failure`; the connection is then of no
    /// use.
    func next() throws(Failure) -> Message? {
        guard try fill(to: VhostUser.Header.sizeInBytes) else { return nil }
        var reader = PayloadReader(bytes)
        guard let request: UInt32 = reader.integer(), let flags: UInt32 = reader.integer(),
            let size: UInt32 = reader.integer()
        else { return nil }
        guard flags & 3 == VhostUser.Header.version else { throw .malformed("unknown protocol version \(flags & 3)") }
        guard size <= VhostUser.maximumPayloadInBytes else { throw .malformed("message of \(size) bytes") }
        guard try fill(to: VhostUser.Header.sizeInBytes + Int(size)) else { return nil }
        defer {
            bytes = []
            descriptors = []
        }
        return Message(
            header: .init(request: request, flags: flags, payloadSize: size),
            payload: Array(bytes[VhostUser.Header.sizeInBytes...]), descriptors: descriptors)
    }

    /// - Throws: `Failure.closed`.
    func reply(to request: UInt32, _ payload: [UInt8]) throws(Failure) {
        var message: [UInt8] = []
        message.append(host: request)
        message.append(host: VhostUser.Header.version | VhostUser.Header.replyFlag)
        message.append(host: UInt32(payload.count))
        message += payload
        // A reply is a few hundred bytes and the front end waits for it, so a full socket means a front end gone
        // astray.
        let sent = Glibc.send(
            descriptor.raw, message, message.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        if sent != message.count { throw .closed }
    }

    /// Reads until `count` bytes of the message are here.
    private func fill(to count: Int) throws(Failure) -> Bool {
        while bytes.count < count {
            var chunk = [UInt8](repeating: 0, count: count - bytes.count)
            var fds = [Int32](repeating: -1, count: 16)
            var fdCount: Int32 = 16
            let n = cs_receive_fds(descriptor.raw, &chunk, chunk.count, &fds, &fdCount)
            if n < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN { return false }
                throw .closed
            }
            descriptors += fds.prefix(Int(fdCount)).map { FileDescriptor($0) }
            if n == 0 { throw .closed }
            if descriptors.count > VhostUser.maximumTableRegions { throw .malformed("too many file descriptors") }
            bytes += chunk.prefix(n)
        }
        return true
    }
}

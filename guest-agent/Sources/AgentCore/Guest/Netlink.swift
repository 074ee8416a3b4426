import CAgent
import Glibc
import System

/// A request to the kernel's network configuration (rtnetlink(7)), built from its structures in order.
struct NetlinkRequest {
    private(set) var bytes = [UInt8](repeating: 0, count: headerSize)
    private static let headerSize = MemoryLayout<nlmsghdr>.size

    /// - Parameters:
    ///   - type: `RTM_*`.
    ///   - flags: `NLM_F_*` beside `NLM_F_REQUEST`.
    ///   - body: the structure that the type of message begins with.
    init<Body>(_ type: Int, flags: Int32, _ body: Body) {
        let header = nlmsghdr(
            nlmsg_len: 0, nlmsg_type: UInt16(type), nlmsg_flags: UInt16(flags | NLM_F_REQUEST), nlmsg_seq: 1,
            nlmsg_pid: 0)
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: header, as: nlmsghdr.self) }
        append(body)
    }

    mutating func add<Value: FixedWidthInteger>(_ attribute: Int, _ value: Value) {
        add(attribute, withUnsafeBytes(of: value) { Array($0) })
    }

    mutating func add(_ attribute: Int, _ text: String) { add(attribute, Array(text.utf8) + [0]) }

    mutating func add(_ attribute: Int, _ value: [UInt8]) {
        append(rtattr(rta_len: UInt16(4 + value.count), rta_type: UInt16(attribute)))
        bytes += value
        pad()
    }

    /// An attribute made of attributes.
    mutating func add(_ attribute: Int, _ content: (inout NetlinkRequest) -> Void) {
        let start = bytes.count
        append(rtattr(rta_len: 0, rta_type: UInt16(attribute)))
        content(&self)
        let length = UInt16(bytes.count - start)
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: length, toByteOffset: start, as: UInt16.self) }
    }

    /// The finished message; with `NLM_F_ACK` for a request that is answered by an errno alone.
    func message(_ more: Int32) -> [UInt8] {
        var bytes = bytes
        let length = UInt32(bytes.count)
        bytes.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: length, as: UInt32.self)
            let flags = raw.load(fromByteOffset: 6, as: UInt16.self)
            raw.storeBytes(of: flags | UInt16(more), toByteOffset: 6, as: UInt16.self)
        }
        return bytes
    }

    private mutating func append<T>(_ value: T) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
        pad()
    }

    /// `NLMSG_ALIGN`, `RTA_ALIGN`.
    private mutating func pad() { while bytes.count % 4 != 0 { bytes.append(0) } }
}

/// The attributes that follow a message's structure.
struct NetlinkAttributes {
    private var values: [Int: [UInt8]] = [:]

    init(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while rest.count >= 4 {
            let header = rest.withUnsafeBytes { $0.loadUnaligned(as: rtattr.self) }
            let length = Int(header.rta_len)
            guard length >= 4, length <= rest.count else { return }
            // The two top bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
            values[Int(header.rta_type & 0x3FFF)] = Array(rest.dropFirst(4).prefix(length - 4))
            rest = rest.dropFirst((length + 3) & ~3)
        }
    }

    subscript(_ attribute: Int) -> [UInt8]? { values[attribute] }
}

/// A connection to the kernel's network configuration of the caller's network namespace. Used by one thread at a time.
struct NetlinkSocket {
    private let socket: FileDescriptor

    init() throws(SystemError) {
        let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        socket = FileDescriptor(
            try syscall("socket", "NETLINK_ROUTE") { Glibc.socket(AF_NETLINK, type, NETLINK_ROUTE) })
    }

    /// Sends a request and waits until the kernel has carried it out.
    /// - Parameters:
    ///   - step, subject: what to call it in an error.
    ///   - ignoring: an errno that means that there is nothing to do.
    func call(_ request: NetlinkRequest, _ step: String, _ subject: String, ignoring: Int32 = 0) throws(SystemError) {
        try send(request.message(NLM_F_ACK), step, subject)
        var failure: Int32 = 0
        try receive(step, subject) { type, body in
            guard type == NLMSG_ERROR, body.count >= 4 else { return false }
            failure = -body.withUnsafeBytes { $0.loadUnaligned(as: Int32.self) }
            return true
        }
        if failure != 0 && failure != ignoring { throw SystemError(step, subject, errno: failure) }
    }

    /// - Returns: the bodies of all messages of a listing.
    func list(_ request: NetlinkRequest, _ step: String) throws(SystemError) -> [ArraySlice<UInt8>] {
        try send(request.message(NLM_F_DUMP), step, "")
        var bodies: [ArraySlice<UInt8>] = []
        var failure: Int32 = 0
        try receive(step, "") { type, body in
            if type == NLMSG_ERROR || type == NLMSG_DONE {
                if body.count >= 4 { failure = -body.withUnsafeBytes { $0.loadUnaligned(as: Int32.self) } }
                return true
            }
            bodies.append(body)
            return false
        }
        if failure != 0 { throw SystemError(step, errno: failure) }
        return bodies
    }

    private func send(_ message: [UInt8], _ step: String, _ subject: String) throws(SystemError) {
        let fd = socket.raw
        try syscall(step, subject) { Glibc.send(fd, message, message.count, 0) }
    }

    /// Hands over messages until `body` says that it was the last.
    private func receive(_ step: String, _ subject: String, _ body: (Int32, ArraySlice<UInt8>) -> Bool)
        throws(SystemError)
    {
        let fd = socket.raw
        // The kernel fills at most this much at a time (rtnetlink(7), netlink(7): 32 KiB).
        var buffer = [UInt8](repeating: 0, count: 32768)
        while true {
            let count = try syscall(step, subject) { recv(fd, &buffer, buffer.count, 0) }
            var rest = buffer[0..<count]
            while rest.count >= MemoryLayout<nlmsghdr>.size {
                let header = rest.withUnsafeBytes { $0.loadUnaligned(as: nlmsghdr.self) }
                let length = Int(header.nlmsg_len)
                guard length >= MemoryLayout<nlmsghdr>.size, length <= rest.count else { break }
                let content = rest.prefix(length).dropFirst(MemoryLayout<nlmsghdr>.size)
                if body(Int32(header.nlmsg_type), content) { return }
                rest = rest.dropFirst((length + 3) & ~3)
            }
        }
    }
}

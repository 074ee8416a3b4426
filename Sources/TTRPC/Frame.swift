import Glibc
import System

/// One ttrpc message on the wire: a header of ten bytes (length, stream, type, flags; big endian) and the body
/// (containerd/ttrpc, `PROTOCOL.md`).
struct Frame {
    enum Kind: UInt8 {
        case request = 1
        case response = 2
    }

    static let headerInBytes = 10
    /// The protocol's limit on a body.
    static let longestBodyInBytes = 4 << 20

    var stream: UInt32
    var kind: UInt8
    var body: [UInt8]

    /// Reads the next frame; nil at the end of the stream.
    /// - Throws: `RPCError` for a body beyond the limit, `SystemError` for a broken stream.
    static func read(from descriptor: FileDescriptor) throws -> Frame? {
        guard let header = try descriptor.readExactly(headerInBytes) else { return nil }
        let length = bigEndian(header[0..<4])
        guard length <= UInt32(longestBodyInBytes) else {
            throw RPCError(
                .resourceExhausted, "ttrpc message of \(length) bytes is over the limit of \(longestBodyInBytes)")
        }
        let body: [UInt8]
        if length == 0 {
            body = []
        } else if let bytes = try descriptor.readExactly(Int(length)) {
            body = bytes
        } else {
            throw SystemError("read", "ttrpc stream ended inside a message", errno: EPIPE)
        }
        return Frame(stream: bigEndian(header[4..<8]), kind: header[8], body: body)
    }

    func bytes() throws(RPCError) -> [UInt8] {
        guard body.count <= Self.longestBodyInBytes else {
            throw RPCError(
                .resourceExhausted,
                "ttrpc message of \(body.count) bytes is over the limit of \(Self.longestBodyInBytes)")
        }
        var result: [UInt8] = []
        result.reserveCapacity(Self.headerInBytes + body.count)
        for value in [UInt32(body.count), stream] {
            withUnsafeBytes(of: value.bigEndian) { result.append(contentsOf: $0) }
        }
        result.append(kind)
        result.append(0)
        result.append(contentsOf: body)
        return result
    }

    private static func bigEndian(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }
}

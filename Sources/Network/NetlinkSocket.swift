import CNetlink
import Glibc

/// A failure of the pod's network, as one sentence.
public struct NetworkError: Error, CustomStringConvertible, Sendable {
    public let description: String
    init(_ description: String) { self.description = description }
}

/// libnl's connection to the kernel's network configuration, in the network namespace of the calling thread. For one thread.
struct NetlinkSocket: ~Copyable {
    let handle: OpaquePointer

    init() throws(NetworkError) {
        guard let handle = nl_socket_alloc() else { throw NetworkError("network: out of memory") }
        let result = nl_connect(handle, NETLINK_ROUTE)
        guard result >= 0 else {
            nl_socket_free(handle)
            throw NetworkError(
                "connect to the kernel's network configuration: \(String(cString: nl_geterror(-result)))")
        }
        self.handle = handle
    }

    deinit { nl_socket_free(handle) }

    /// Runs a call of libnl's, which reports failure as a negative number of its own.
    static func check(_ step: @autoclosure () -> String, _ body: () -> Int32) throws(NetworkError) {
        let result = body()
        if result < 0 { throw NetworkError("\(step()): \(String(cString: nl_geterror(-result)))") }
    }

    /// What the kernel lists of one kind, each object as `convert` makes it; nil leaves it out.
    /// - Parameters:
    ///   - what: for an error.
    ///   - fill: the call that makes libnl's cache of it.
    func list<T>(
        _ what: String, _ fill: (OpaquePointer, UnsafeMutablePointer<OpaquePointer?>) -> Int32,
        _ convert: (OpaquePointer) -> T?
    ) throws(NetworkError) -> [T] {
        var cache: OpaquePointer?
        try Self.check("list \(what)") { fill(handle, &cache) }
        guard let cache else { return [] }
        defer { nl_cache_free(cache) }
        var result: [T] = []
        var object = nl_cache_get_first(cache)
        while let current = object {
            if let value = convert(current) { result.append(value) }
            object = nl_cache_get_next(current)
        }
        return result
    }
}

/// An address as people write it, without the length of a prefix; empty for none.
func text(_ address: OpaquePointer?) -> String {
    guard let address else { return "" }
    // As long as any: an IPv6 address with prefix, or 32 bytes of a hardware address.
    var buffer = [CChar](repeating: 0, count: 128)
    nl_addr2str(address, &buffer, buffer.count)
    let whole = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return String(whole.prefix { $0 != "/" })
}

/// An address with the length of its prefix; empty for none, and for what means everything.
func prefixed(_ address: OpaquePointer?) -> String {
    guard let address, nl_addr_get_prefixlen(address) > 0 else { return "" }
    return "\(text(address))/\(nl_addr_get_prefixlen(address))"
}

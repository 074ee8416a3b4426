import CNetlink
import Glibc
import System

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

    /// Every route of the kernel's as it tells it. libnl's cache takes IPv6 routes that differ in their link alone for one, and
    /// forgets the others: each of two interfaces leads to fe80::/64.
    func listRoutes<T>(_ convert: (OpaquePointer) -> [T]) throws(NetworkError) -> [T] {
        let found = FoundRoutes()
        let handle = handle
        nl_socket_modify_cb(
            handle, NL_CB_VALID, NL_CB_CUSTOM, collectRoute, Unmanaged.passUnretained(found).toOpaque())
        try Self.check("list routes") {
            let result = nl_rtgen_request(handle, Int32(RTM_GETROUTE), AF_UNSPEC, NLM_F_DUMP)
            return result < 0 ? result : nl_recvmsgs_default(handle)
        }
        nl_socket_modify_cb(handle, NL_CB_VALID, NL_CB_DEFAULT, nil, nil)
        return found.routes.flatMap(convert)
    }
}

private final class FoundRoutes {
    var routes: [OpaquePointer] = []
    deinit { for route in routes { rtnl_route_put(route) } }
}

private func collectRoute(_ message: OpaquePointer?, _ argument: UnsafeMutableRawPointer?) -> Int32 {
    guard let argument else { return Int32(NL_OK.rawValue) }
    var route: OpaquePointer?
    // What libnl cannot read is no route that a pod has.
    if rtnl_route_parse(nlmsg_hdr(message), &route) >= 0, let route {
        Unmanaged<FoundRoutes>.fromOpaque(argument).takeUnretainedValue().routes.append(route)
    }
    return Int32(NL_OK.rawValue)
}

/// An address as people write it, without the length of a prefix; empty for none.
func text(_ address: OpaquePointer?) -> String {
    guard let address else { return "" }
    // As long as any: an IPv6 address with prefix, or 32 bytes of a hardware address.
    var buffer = [CChar](repeating: 0, count: 128)
    nl_addr2str(address, &buffer, buffer.count)
    let whole = String(buffer: buffer)
    return String(whole.prefix { $0 != "/" })
}

/// An address with the length of its prefix; empty for none, and for what means everything.
func prefixed(_ address: OpaquePointer?) -> String {
    guard let address, nl_addr_get_prefixlen(address) > 0 else { return "" }
    return "\(text(address))/\(nl_addr_get_prefixlen(address))"
}

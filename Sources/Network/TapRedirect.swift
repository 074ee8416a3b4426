import CNetlink
import Glibc
import System

/// Joins an interface of the pod's namespace to a guest's tap: every frame that arrives at the one leaves by the other. The
/// namespace's own protocols see none of it.
///
/// An ingress queueing discipline on each, with one filter that redirects everything (tc-mirred(8)).
public final class TapRedirect: Sendable {
    /// Of our filters, so that those of others stay (and an ingress discipline that others made).
    private static let priority: UInt16 = 0xC105
    /// What takes filters at the ingress of an interface, whether its discipline is `ingress` or `clsact`.
    private static let ingress: UInt32 = 0xFFFF_FFF2
    /// `TC_H_INGRESS` of <linux/pkt_sched.h>.
    private static let disciplineParent: UInt32 = 0xFFFF_FFF1

    private struct Undo {
        var disciplines: [Int32] = []
        var filters: [Int32] = []
    }

    private let undo = Guarded(Undo())

    public init() {}

    /// - Parameters:
    ///   - interface: a name in the calling thread's network namespace.
    ///   - tap: the name of the tap, which gets the interface's MTU and is set up.
    /// - Throws: `NetworkError`; what was done before is undone by `remove`.
    public func join(_ interface: String, _ tap: String) throws(NetworkError) {
        let netlink = try NetlinkSocket()
        let (here, there) = (try Self.index(interface), try Self.index(tap))
        try Self.raise(tap, there, mtuOf: interface, netlink)
        for (from, to, name) in [(here, there, interface), (there, here, tap)] {
            if try Self.addDiscipline(from, name, netlink) {
                undo.withLock { $0.disciplines.append(from) }
            } else {
                // Left by one of us that was killed.
                Self.removeFilter(from, netlink)
            }
            try Self.redirect(from, to, name, netlink)
            undo.withLock { $0.filters.append(from) }
        }
    }

    /// Takes everything back that `join` did. Idempotent; what is gone already is fine.
    public func remove() {
        let undo = undo.withLock { undo in
            defer { undo = Undo() }
            return undo
        }
        guard !undo.filters.isEmpty || !undo.disciplines.isEmpty, let netlink = try? NetlinkSocket() else { return }
        for index in undo.filters where !undo.disciplines.contains(index) { Self.removeFilter(index, netlink) }
        for index in undo.disciplines {
            guard let discipline = rtnl_qdisc_alloc() else { continue }
            defer { rtnl_qdisc_put(discipline) }
            rtnl_tc_set_ifindex(discipline, index)
            rtnl_tc_set_parent(discipline, Self.disciplineParent)
            rtnl_qdisc_delete(netlink.handle, discipline)
        }
    }

    deinit { remove() }

    private static func index(_ name: String) throws(NetworkError) -> Int32 {
        let index = if_nametoindex(name)
        guard index > 0 else { throw NetworkError("there is no network interface \(name) in the pod's namespace") }
        return Int32(index)
    }

    private static func raise(
        _ tap: String, _ index: Int32, mtuOf interface: String, _ netlink: borrowing NetlinkSocket
    )
        throws(NetworkError)
    {
        // The tap is a wire: the namespace itself says nothing on it. Where /proc/sys is read-only, it says a little.
        if let file = try? FileDescriptor.open("/proc/sys/net/ipv6/conf/\(tap)/disable_ipv6", O_WRONLY) {
            try? file.writeAll(Array("1\n".utf8))
        }
        let handle = netlink.handle
        var link: OpaquePointer?
        try NetlinkSocket.check("read network interface \(interface)") {
            rtnl_link_get_kernel(handle, 0, interface, &link)
        }
        guard let link, let change = rtnl_link_alloc() else { throw NetworkError("network: out of memory") }
        defer {
            rtnl_link_put(link)
            rtnl_link_put(change)
        }
        rtnl_link_set_ifindex(change, index)
        rtnl_link_set_mtu(change, rtnl_link_get_mtu(link))
        rtnl_link_set_flags(change, IFF_UP.rawValue)
        try NetlinkSocket.check("set up \(tap)") { rtnl_link_change(handle, change, change, 0) }
    }

    /// - Returns: false when the interface has such a discipline already.
    private static func addDiscipline(_ index: Int32, _ name: String, _ netlink: borrowing NetlinkSocket)
        throws(NetworkError) -> Bool
    {
        guard let discipline = rtnl_qdisc_alloc() else { throw NetworkError("network: out of memory") }
        defer { rtnl_qdisc_put(discipline) }
        rtnl_tc_set_ifindex(discipline, index)
        rtnl_tc_set_parent(discipline, Self.disciplineParent)
        rtnl_tc_set_handle(discipline, 0xFFFF_0000)
        rtnl_tc_set_kind(discipline, "ingress")
        let result = rtnl_qdisc_add(netlink.handle, discipline, NLM_F_CREATE | NLM_F_EXCL)
        if result == -NLE_EXIST { return false }
        try NetlinkSocket.check("redirect \(name)") { result }
        return true
    }

    /// `matchall` where the kernel has it, else a `u32` filter that asks for nothing.
    private static func redirect(_ from: Int32, _ to: Int32, _ name: String, _ netlink: borrowing NetlinkSocket)
        throws(NetworkError)
    {
        var result: Int32 = 0
        for kind in ["matchall", "u32"] {
            guard let filter = filter(from, kind), let action = redirection(to) else {
                throw NetworkError("network: out of memory")
            }
            defer {
                rtnl_cls_put(filter)
                rtnl_act_put(action)
            }
            if kind == "matchall" {
                rtnl_mall_append_action(filter, action)
            } else {
                rtnl_u32_add_key_uint32(filter, 0, 0, 0, 0)
                rtnl_u32_add_action(filter, action)
                rtnl_u32_set_cls_terminal(filter)
            }
            result = rtnl_cls_add(netlink.handle, filter, NLM_F_CREATE | NLM_F_EXCL)
            if result >= 0 { return }
        }
        try NetlinkSocket.check("redirect \(name) (the kernel needs cls_matchall or cls_u32, and act_mirred)") {
            result
        }
    }

    private static func filter(_ index: Int32, _ kind: String) -> OpaquePointer? {
        guard let filter = rtnl_cls_alloc() else { return nil }
        rtnl_tc_set_ifindex(filter, index)
        rtnl_tc_set_parent(filter, ingress)
        rtnl_tc_set_kind(filter, kind)
        rtnl_cls_set_prio(filter, priority)
        rtnl_cls_set_protocol(filter, UInt16(ETH_P_ALL))
        return filter
    }

    private static func redirection(_ to: Int32) -> OpaquePointer? {
        guard let action = rtnl_act_alloc() else { return nil }
        rtnl_tc_set_kind(action, "mirred")
        rtnl_mirred_set_action(action, Int32(TCA_EGRESS_REDIR))
        rtnl_mirred_set_policy(action, Int32(TC_ACT_STOLEN))
        rtnl_mirred_set_ifindex(action, UInt32(to))
        return action
    }

    private static func removeFilter(_ index: Int32, _ netlink: borrowing NetlinkSocket) {
        guard let filter = rtnl_cls_alloc() else { return }
        defer { rtnl_cls_put(filter) }
        rtnl_tc_set_ifindex(filter, index)
        rtnl_tc_set_parent(filter, ingress)
        rtnl_cls_set_prio(filter, priority)
        rtnl_cls_set_protocol(filter, UInt16(ETH_P_ALL))
        rtnl_cls_delete(netlink.handle, filter, 0)
    }
}

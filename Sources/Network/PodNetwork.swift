import AgentAPI
import CNetlink
import Glibc
import System

/// What the network plugins made of the pod's network namespace, which the calling thread is in.
public enum PodNetwork {
    /// Taps of this program's own are called so, with a number.
    public static let tapPrefix = "cloister"

    public static func tapName(_ index: Int) -> String { "\(tapPrefix)\(index)" }

    /// Interfaces that are up and speak Ethernet, except our own taps and parts of others, with their addresses; routes of the
    /// main table that lead out by them; permanent neighbours. `deviceAddress` is left empty.
    public static func read() throws(NetworkError) -> ConfigureNetworkRequest {
        let netlink = try NetlinkSocket()
        var request = ConfigureNetworkRequest()
        let links = try netlink.list("network interfaces", { rtnl_link_alloc_cache($0, AF_UNSPEC, $1) }, interface)
        guard !links.isEmpty else { return request }
        let names = Dictionary(links.map { ($0.index, $0.interface.name) }, uniquingKeysWith: { first, _ in first })

        let addresses = try netlink.list("addresses", { rtnl_addr_alloc_cache($0, $1) }) { address in
            (rtnl_addr_get_ifindex(address), prefixed(rtnl_addr_get_local(address)))
        }
        request.interfaces = links.map { link in
            var interface = link.interface
            interface.addresses = addresses.filter { $0.0 == link.index && !$0.1.isEmpty }.map(\.1)
            return interface
        }
        let routes = try netlink.listRoutes { Self.routes($0, names) }
        // What reaches the gateways comes before what goes through them.
        request.routes = routes.filter { $0.gateway.isEmpty } + routes.filter { !$0.gateway.isEmpty }
        request.neighbours = try netlink.list("neighbours", { rtnl_neigh_alloc_cache($0, $1) }) { neighbour($0, names) }
        return request
    }

    private static func interface(_ link: OpaquePointer) -> (index: Int32, interface: NetworkInterface)? {
        let flags = rtnl_link_get_flags(link)
        guard rtnl_link_get_arptype(link) == UInt32(ARPHRD_ETHER), flags & IFF_UP.rawValue != 0,
            rtnl_link_get_master(link) == 0, let name = rtnl_link_get_name(link).map({ String(cString: $0) }),
            !isTap(name)
        else { return nil }
        var interface = NetworkInterface()
        interface.name = name
        interface.hardwareAddress = text(rtnl_link_get_addr(link))
        interface.mtu = rtnl_link_get_mtu(link)
        return (rtnl_link_get_ifindex(link), interface)
    }

    private static func isTap(_ name: String) -> Bool {
        name.hasPrefix(tapPrefix) && Int(name.dropFirst(tapPrefix.count)) != nil
    }

    /// One for each next hop.
    private static func routes(_ route: OpaquePointer, _ names: [Int32: String]) -> [NetworkRoute] {
        guard rtnl_route_get_table(route) == UInt32(RT_TABLE_MAIN.rawValue), rtnl_route_get_type(route) == RTN_UNICAST
        else { return [] }
        return (0..<rtnl_route_get_nnexthops(route)).compactMap { number in
            rtnl_route_nexthop_n(route, number).flatMap { Self.route(route, by: $0, names) }
        }
    }

    private static func route(_ route: OpaquePointer, by hop: OpaquePointer, _ names: [Int32: String]) -> NetworkRoute?
    {
        guard let name = names[rtnl_route_nh_get_ifindex(hop)] else { return nil }
        var result = NetworkRoute()
        result.destination = prefixed(rtnl_route_get_dst(route))
        result.gateway = text(rtnl_route_nh_get_gateway(hop) ?? rtnl_route_nh_get_via(hop))
        result.interface = name
        result.source = text(rtnl_route_get_pref_src(route))
        result.scope = UInt32(rtnl_route_get_scope(route))
        result.metric = rtnl_route_get_priority(route)
        // The others are the kernel's own observations.
        result.flags = UInt32(rtnl_route_nh_get_flags(hop)) & UInt32(RTNH_F_ONLINK)
        result.family = rtnl_route_get_family(route) == UInt8(AF_INET6) ? 6 : 4
        return result
    }

    private static func neighbour(_ neighbour: OpaquePointer, _ names: [Int32: String]) -> NetworkNeighbour? {
        guard rtnl_neigh_get_state(neighbour) == NUD_PERMANENT,
            rtnl_neigh_get_flags(neighbour) & UInt32(NTF_PROXY) == 0,
            let name = names[rtnl_neigh_get_ifindex(neighbour)], let destination = rtnl_neigh_get_dst(neighbour),
            let hardware = rtnl_neigh_get_lladdr(neighbour)
        else { return nil }
        var result = NetworkNeighbour()
        result.address = text(destination)
        result.hardwareAddress = text(hardware)
        result.interface = name
        return result
    }
}

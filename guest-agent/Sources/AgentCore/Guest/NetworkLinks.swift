import AgentAPI
import CAgent
import Glibc
import System

/// The guest's network cards and what is set on each, through netlink.
struct NetworkLinks {
    let netlink: NetlinkSocket

    /// The card's index by the address it was built with, which stays when it is given another; nil while it is not there.
    func index(ofDevice address: HardwareAddress) throws(SystemError) -> Int32? {
        let request = NetlinkRequest(RTM_GETLINK, flags: 0, ifinfomsg())
        for body in try netlink.list(request, "list network interfaces") {
            let attributes = NetlinkAttributes(body.dropFirst(MemoryLayout<ifinfomsg>.size))
            guard attributes[IFLA_PERM_ADDRESS] == address.bytes else { continue }
            return body.withUnsafeBytes { $0.loadUnaligned(as: ifinfomsg.self) }.ifi_index
        }
        return nil
    }

    /// Down, without addresses, and called something that no other is to be called. Routes and neighbours go with the link.
    func clear(_ index: Int32) throws(SystemError) {
        var message = ifinfomsg()
        message.ifi_index = index
        message.ifi_change = UInt32(IFF_UP)
        var request = NetlinkRequest(RTM_NEWLINK, flags: 0, message)
        request.add(IFLA_IFNAME, "card\(index)")
        try netlink.call(request, "set down", "network interface \(index)")
        for body in try netlink.list(NetlinkRequest(RTM_GETADDR, flags: 0, ifaddrmsg()), "list addresses") {
            let address = body.withUnsafeBytes { $0.loadUnaligned(as: ifaddrmsg.self) }
            guard address.ifa_index == UInt32(index) else { continue }
            let attributes = NetlinkAttributes(body.dropFirst(MemoryLayout<ifaddrmsg>.size))
            var removal = NetlinkRequest(RTM_DELADDR, flags: 0, address)
            for kind in [IFA_LOCAL, IFA_ADDRESS] { if let value = attributes[kind] { removal.add(kind, value) } }
            try netlink.call(removal, "remove an address", "network interface \(index)", ignoring: EADDRNOTAVAIL)
        }
    }

    /// Name, hardware address, MTU; then up. The kernel is not to think of an IPv6 address of its own: those that the host's
    /// kernel thought of are among the interface's addresses.
    func raise(_ index: Int32, _ interface: NetworkInterface) throws(SystemError) {
        var message = ifinfomsg()
        message.ifi_index = index
        var request = NetlinkRequest(RTM_NEWLINK, flags: 0, message)
        request.add(IFLA_IFNAME, interface.name)
        if interface.mtu > 0 { request.add(IFLA_MTU, interface.mtu) }
        if let address = HardwareAddress(interface.hardwareAddress) { request.add(IFLA_ADDRESS, address.bytes) }
        request.add(IFLA_AF_SPEC) { families in
            families.add(Int(AF_INET6)) { $0.add(IFLA_INET6_ADDR_GEN_MODE, UInt8(IN6_ADDR_GEN_MODE_NONE.rawValue)) }
        }
        try netlink.call(request, "configure", "network interface \(interface.name)")
        message.ifi_flags = UInt32(IFF_UP)
        message.ifi_change = UInt32(IFF_UP)
        try netlink.call(
            NetlinkRequest(RTM_NEWLINK, flags: 0, message), "set up", "network interface \(interface.name)")
    }

    /// The host has made sure that nobody else has the address (RFC 4862, section 5.4), and its routes come by themselves.
    func add(_ text: String, to index: Int32) throws {
        let address = try parse(text)
        var message = ifaddrmsg()
        message.ifa_family = address.family
        message.ifa_prefixlen = address.prefixLength
        message.ifa_scope = UInt8(address.isLinkLocal ? RT_SCOPE_LINK.rawValue : RT_SCOPE_UNIVERSE.rawValue)
        message.ifa_index = UInt32(index)
        var request = NetlinkRequest(RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_REPLACE, message)
        request.add(IFA_LOCAL, address.bytes)
        request.add(IFA_ADDRESS, address.bytes)
        if let broadcast = address.broadcast { request.add(IFA_BROADCAST, broadcast) }
        request.add(IFA_FLAGS, UInt32(IFA_F_NODAD | IFA_F_NOPREFIXROUTE | IFA_F_PERMANENT))
        try netlink.call(request, "add address", text)
    }

    func add(_ route: NetworkRoute, to index: Int32) throws {
        let destination = route.destination.isEmpty ? nil : try parse(route.destination)
        let gateway = route.gateway.isEmpty ? nil : try parse(route.gateway)
        var message = rtmsg()
        message.rtm_family = UInt8(route.family == 6 ? AF_INET6 : AF_INET)
        message.rtm_dst_len = destination?.prefixLength ?? 0
        message.rtm_table = UInt8(RT_TABLE_MAIN.rawValue)
        message.rtm_protocol = UInt8(RTPROT_STATIC)
        message.rtm_scope = UInt8(truncatingIfNeeded: route.scope)
        message.rtm_type = UInt8(RTN_UNICAST)
        message.rtm_flags = route.flags
        // Not in the place of another: two interfaces may both lead to fe80::/64.
        var request = NetlinkRequest(RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_APPEND, message)
        request.add(Int(RTA_OIF.rawValue), index)
        if let destination { request.add(Int(RTA_DST.rawValue), destination.bytes) }
        if let gateway, gateway.family == message.rtm_family {
            request.add(Int(RTA_GATEWAY.rawValue), gateway.bytes)
        } else if let gateway {
            // `struct rtvia`: an IPv4 network behind an IPv6 neighbour.
            request.add(Int(RTA_VIA.rawValue), [gateway.family, 0] + gateway.bytes)
        }
        if !route.source.isEmpty { request.add(Int(RTA_PREFSRC.rawValue), try parse(route.source).bytes) }
        if route.metric > 0 { request.add(Int(RTA_PRIORITY.rawValue), route.metric) }
        let words = [route.destination.isEmpty ? "default" : route.destination, route.gateway].filter { !$0.isEmpty }
        try netlink.call(request, "add route", words.joined(separator: " via "), ignoring: EEXIST)
    }

    func add(_ neighbour: NetworkNeighbour, to index: Int32) throws {
        let address = try parse(neighbour.address)
        guard let hardware = HardwareAddress(neighbour.hardwareAddress) else {
            throw SystemError("add neighbour", neighbour.hardwareAddress, errno: EINVAL)
        }
        var message = ndmsg()
        message.ndm_family = address.family
        message.ndm_ifindex = index
        message.ndm_state = UInt16(NUD_PERMANENT)
        var request = NetlinkRequest(RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE, message)
        request.add(NDA_DST, address.bytes)
        request.add(NDA_LLADDR, hardware.bytes)
        try netlink.call(request, "add neighbour", neighbour.address)
    }

    private func parse(_ text: String) throws(SystemError) -> NetworkAddress {
        guard let address = NetworkAddress(text) else { throw SystemError("parse address", text, errno: EINVAL) }
        return address
    }
}

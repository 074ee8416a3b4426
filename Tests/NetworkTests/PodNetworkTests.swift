import AgentAPI
import Glibc
import System
import Testing

@testable import Network

/// Why these tests do not run; nil where they do.
private let obstacle: String? =
    NetworkNamespace() == nil
    ? "this user may not make network namespaces" : access("/usr/sbin/ip", X_OK) != 0 ? "there is no ip(8)" : nil

@Suite(.enabled(if: obstacle == nil, "\(obstacle ?? "")"))
struct PodNetworkTests {
    private let namespace: NetworkNamespace

    init() throws { namespace = try #require(NetworkNamespace()) }

    private func read(after lines: String) throws -> ConfigureNetworkRequest {
        _ = try namespace.configure("ip", lines)
        return try namespace.run { try PodNetwork.read() }
    }

    /// What CNI's bridge plugin leaves.
    private let pair = """
        link add eth0 address 0a:58:0a:01:02:03 mtu 1400 type veth peer name other
        link set eth0 addrgenmode none
        link set lo up
        link set other up
        link set eth0 up
        addr add 10.1.2.3/24 dev eth0
        addr add fd00:1::3/64 dev eth0 nodad
        """

    @Test func nothingButLoopback() throws {
        #expect(try read(after: "link set lo up").interfaces.isEmpty)
    }

    @Test func interface() throws {
        let request = try read(
            after: pair + "\nlink set other down\ntuntap add cloister0 mode tap\nlink set cloister0 up")
        #expect(request.interfaces.map(\.name) == ["eth0"])
        let interface = try #require(request.interfaces.first)
        #expect(interface.hardwareAddress == "0a:58:0a:01:02:03")
        #expect(interface.mtu == 1400)
        #expect(interface.addresses.sorted() == ["10.1.2.3/24", "fd00:1::3/64"])
    }

    /// Each line is a route as ip(8) takes it, and what is read of it.
    @Test(arguments: [
        ("route add default via 10.1.2.1", "4 default 10.1.2.1 eth0  0 0 0"),
        ("route add 10.9.0.0/16 via 10.1.2.1 metric 7 src 10.1.2.3", "4 10.9.0.0/16 10.1.2.1 eth0 10.1.2.3 0 7 0"),
        ("route add 169.254.1.1 dev eth0 scope link", "4 169.254.1.1/32  eth0  253 0 0"),
        ("route add default via 192.0.2.1 dev eth0 onlink", "4 default 192.0.2.1 eth0  0 0 4"),
        ("-4 route add default via inet6 fd00:1::1 dev eth0", "4 default fd00:1::1 eth0  0 0 0"),
        ("-6 route add default via fd00:1::1", "6 default fd00:1::1 eth0  0 1024 0"),
        (
            "route add 10.1.2.0/24 dev eth0 scope link src 10.1.2.3 proto kernel metric 5",
            "4 10.1.2.0/24  eth0 10.1.2.3 253 5 0"
        ),
    ])
    func routes(_ line: String, _ expected: String) throws {
        let routes = try read(after: pair + "\n" + line).routes.map { route in
            "\(route.family) \(route.destination.isEmpty ? "default" : route.destination) \(route.gateway) "
                + "\(route.interface) \(route.source) \(route.scope) \(route.metric) \(route.flags)"
        }
        #expect(routes.contains(expected), "\(routes)")
        #expect(routes.contains("4 10.1.2.0/24  eth0 10.1.2.3 253 0 0"), "the address's own: \(routes)")
        #expect(routes.contains("6 fd00:1::/64  eth0  0 256 0"), "the address's own: \(routes)")
    }

    @Test func gatewaysComeAfterTheLink() throws {
        let routes = try read(
            after: pair + """

                route add 169.254.1.1 dev eth0 scope link
                route add default via 169.254.1.1 dev eth0
                route add 1.0.0.0/8 via 10.1.2.1
                """
        ).routes
        let first = try #require(routes.firstIndex { !$0.gateway.isEmpty })
        #expect(routes[first...].allSatisfy { !$0.gateway.isEmpty })
        #expect(routes[first...].count == 2)
    }

    /// Two links lead to the same, and one route to two gateways.
    @Test func theSameDestinationByTwoLinks() throws {
        let routes = try read(
            after: pair + """

                -6 route add fd00:9::/64 dev eth0 metric 5
                -6 route append fd00:9::/64 dev other metric 5
                route add 10.9.0.0/16 nexthop via 10.1.2.1 nexthop via 10.1.2.2
                """
        ).routes
        #expect(routes.filter { $0.destination == "fd00:9::/64" }.map(\.interface).sorted() == ["eth0", "other"])
        #expect(routes.filter { $0.destination == "10.9.0.0/16" }.map(\.gateway).sorted() == ["10.1.2.1", "10.1.2.2"])
    }

    /// Tables other than the main one, and routes that end here, are not the guest's.
    @Test func otherRoutesAreLeftOut() throws {
        let routes = try read(
            after: pair + "\nroute add 10.8.0.0/16 dev eth0 table 77\nroute add blackhole 10.7.0.0/16"
        ).routes
        #expect(!routes.contains { $0.destination.hasPrefix("10.8.") || $0.destination.hasPrefix("10.7.") })
    }

    @Test func permanentNeighbours() throws {
        let neighbours = try read(
            after: pair + """

                neigh add 10.1.2.1 lladdr 0a:00:00:00:00:01 dev eth0 nud permanent
                neigh add 10.1.2.9 lladdr 0a:00:00:00:00:09 dev eth0 nud stale
                neigh add fd00:1::1 lladdr 0a:00:00:00:00:01 dev eth0 nud permanent
                """
        ).neighbours
        #expect(
            neighbours.map { "\($0.address) \($0.hardwareAddress) \($0.interface)" }.sorted() == [
                "10.1.2.1 0a:00:00:00:00:01 eth0", "fd00:1::1 0a:00:00:00:00:01 eth0",
            ])
    }

    /// Joined, both redirect everything to each other, and the tap is as wide; removed, nothing of it is left.
    @Test func joinAndRemove() throws {
        _ = try namespace.configure("ip", pair + "\ntuntap add cloister0 mode tap")
        let redirect = TapRedirect()
        try namespace.run { try redirect.join("eth0", "cloister0") }
        for (from, to) in [("eth0", "cloister0"), ("cloister0", "eth0")] {
            let filters = try namespace.configure("tc", "filter show dev \(from) ingress")
            #expect(filters.contains("Egress Redirect to device \(to)"), "\(filters)")
        }
        #expect(try namespace.configure("ip", "link show cloister0").contains("mtu 1400"))
        #expect(try namespace.run { try Set(PodNetwork.read().interfaces.map(\.name)) } == ["eth0", "other"])
        try namespace.run { redirect.remove() }
        try namespace.run { redirect.remove() }
        #expect(!(try namespace.configure("tc", "qdisc show")).contains("ingress"))
    }

    /// The discipline of another program stays, and what a killed server left does not matter.
    @Test func othersDisciplines() throws {
        _ = try namespace.configure("ip", pair + "\ntuntap add cloister0 mode tap")
        _ = try namespace.configure("tc", "qdisc add dev eth0 clsact")
        let killed = TapRedirect()
        try namespace.run { try killed.join("eth0", "cloister0") }
        let redirect = TapRedirect()
        try namespace.run { try redirect.join("eth0", "cloister0") }
        let filters = try namespace.configure("tc", "filter show dev eth0 ingress")
        #expect(filters.split(separator: "\n").filter { $0.contains("Redirect") }.count == 1, "\(filters)")
        try namespace.run { redirect.remove() }
        #expect(try namespace.configure("tc", "qdisc show dev eth0").contains("clsact"))
        #expect(!(try namespace.configure("tc", "filter show dev eth0 ingress")).contains("Redirect"))
        try namespace.run { killed.remove() }
    }

    @Test func missingInterface() throws {
        #expect(throws: NetworkError.self) { try namespace.run { try TapRedirect().join("none", "cloister0") } }
    }
}

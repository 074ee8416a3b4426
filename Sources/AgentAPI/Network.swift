import Protobuf

/// What a pod's network namespace on the host has, for the guest's own to have the same. Addresses are text as ip(8) shows it.
public struct ConfigureNetworkRequest: Message {
    public var interfaces: [NetworkInterface] = []
    /// In the order to be added: those to gateways come after those that reach the gateways.
    public var routes: [NetworkRoute] = []
    public var neighbours: [NetworkNeighbour] = []
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &interfaces)
        field(2, &routes)
        field(3, &neighbours)
    }
}

public struct NetworkInterface: Message {
    /// The address of the virtual network card as the machine was built with it (`02:00:…`), by which the guest finds the
    /// interface; it may be plugged in after boot.
    public var deviceAddress = ""
    /// What the interface is to be called and to answer to.
    public var name = ""
    public var hardwareAddress = ""
    public var mtu: UInt32 = 0
    /// With prefix length, e.g. `10.1.2.3/24`, `fd00::2/64`.
    public var addresses: [String] = []
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &deviceAddress)
        field(2, &name)
        field(3, &hardwareAddress)
        field(4, &mtu)
        field(5, &addresses)
    }
}

public struct NetworkRoute: Message {
    /// With prefix length; empty means the default route.
    public var destination = ""
    /// Empty for what is on the link.
    public var gateway = ""
    public var interface = ""
    /// Preferred source; may be empty.
    public var source = ""
    /// `rtm_scope` and `RTA_PRIORITY` of rtnetlink(7).
    public var scope: UInt32 = 0
    public var metric: UInt32 = 0
    /// `RTNH_F_ONLINK` and its like.
    public var flags: UInt32 = 0
    /// 4 or 6: a default route has no address to tell.
    public var family: UInt32 = 4
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &destination)
        field(2, &gateway)
        field(3, &interface)
        field(4, &source)
        field(5, &scope)
        field(6, &metric)
        field(7, &flags)
        field(8, &family)
    }
}

/// A permanent entry of the neighbour table.
public struct NetworkNeighbour: Message {
    public var address = ""
    public var hardwareAddress = ""
    public var interface = ""
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &address)
        field(2, &hardwareAddress)
        field(3, &interface)
    }
}

/// To be connected to in the guest's own network namespace.
public struct DialRequest: Message {
    /// IPv4 or IPv6, as text.
    public var address = ""
    public var port: UInt32 = 0
    /// The vsock port on the host that the agent dials once the connection stands; then the two are one stream.
    public var streamPort: UInt32 = 0
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &address)
        field(2, &port)
        field(3, &streamPort)
    }
}

import Protobuf

/// What a pod's network namespace on the host has, for the guest's own to have the same. Addresses are text as ip(8) shows it.
public struct ConfigureNetworkRequest: Message {
    public var interfaces: [NetworkInterface] = []
    /// In the order to be added: those to gateways come after those that reach the gateways.
    public var routes: [NetworkRoute] = []
    public var neighbours: [NetworkNeighbour] = []
    public init() {}
    public static let fields: [Field<ConfigureNetworkRequest>] = [
        .repeated(1, \.interfaces, .message), .repeated(2, \.routes, .message), .repeated(3, \.neighbours, .message),
    ]
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
    public static let fields: [Field<NetworkInterface>] = [
        .singular(1, \.deviceAddress, .string), .singular(2, \.name, .string), .singular(3, \.hardwareAddress, .string),
        .singular(4, \.mtu, .uint32), .repeated(5, \.addresses, .string),
    ]
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
    public static let fields: [Field<NetworkRoute>] = [
        .singular(1, \.destination, .string), .singular(2, \.gateway, .string), .singular(3, \.interface, .string),
        .singular(4, \.source, .string), .singular(5, \.scope, .uint32), .singular(6, \.metric, .uint32),
        .singular(7, \.flags, .uint32), .singular(8, \.family, .uint32),
    ]
}

/// A permanent entry of the neighbour table.
public struct NetworkNeighbour: Message {
    public var address = ""
    public var hardwareAddress = ""
    public var interface = ""
    public init() {}
    public static let fields: [Field<NetworkNeighbour>] = [
        .singular(1, \.address, .string), .singular(2, \.hardwareAddress, .string), .singular(3, \.interface, .string),
    ]
}

/// To be connected to in the guest's own network namespace.
public struct DialRequest: Message {
    /// IPv4 or IPv6, as text.
    public var address = ""
    public var port: UInt32 = 0
    /// The vsock port on the host that the agent dials once the connection stands; then the two are one stream.
    public var streamPort: UInt32 = 0
    public init() {}
    public static let fields: [Field<DialRequest>] = [
        .singular(1, \.address, .string), .singular(2, \.port, .uint32), .singular(3, \.streamPort, .uint32),
    ]
}

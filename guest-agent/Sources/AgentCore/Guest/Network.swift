import AgentAPI
import Glibc
import System
import TTRPC

/// Gives the guest's own network namespace what the pod's namespace on the host has.
enum Network {
    /// A card may be plugged in a moment after the host has spoken of it.
    private static let deviceTimeout = Duration.seconds(10)

    /// A second call replaces what the first set on the cards it names.
    static func configure(_ request: ConfigureNetworkRequest, events: DeviceEvents) throws {
        let links = NetworkLinks(netlink: try NetlinkSocket())
        var indices: [String: Int32] = [:]
        for interface in request.interfaces {
            let index = try find(interface.deviceAddress, links, events)
            // All are out of the way before the first is named: a card may be called as another is to be.
            try links.clear(index)
            indices[interface.name] = index
        }
        func index(_ name: String) throws -> Int32 {
            guard let index = indices[name] else {
                throw RPCError(.invalidArgument, "there is no network interface \(name) to configure")
            }
            return index
        }
        for interface in request.interfaces {
            let index = try index(interface.name)
            try links.raise(index, interface)
            for address in interface.addresses { try links.add(address, to: index) }
        }
        for route in request.routes { try links.add(route, to: index(route.interface)) }
        for neighbour in request.neighbours { try links.add(neighbour, to: index(neighbour.interface)) }
    }

    private static func find(_ device: String, _ links: NetworkLinks, _ events: DeviceEvents) throws -> Int32 {
        guard let address = HardwareAddress(device) else {
            throw RPCError(.invalidArgument, "\(device) is not the address of a network card")
        }
        var failure: SystemError?
        let index = events.wait(timeout: deviceTimeout) { () -> Int32? in
            do throws(SystemError) { return try links.index(ofDevice: address) } catch {
                failure = error
                return -1
            }
        }
        if let failure { throw failure }
        guard let index else {
            throw RPCError(
                .notFound, "the guest has no network card \(device) after \(deviceTimeout.components.seconds) s")
        }
        return index
    }
}

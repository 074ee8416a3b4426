import AgentAPI
import Hypervisor
import Network
import System

/// The guest's part of the pod's network namespace, which this process is in. The cards are in the machine from its start;
/// what they are called and answer to is known when the host's network plugins have run, before the pod's first container is
/// created (CRI) or between its creation and its start (`ctr run --cni`).
extension Sandbox {
    struct PodLink: Sendable {
        /// How many cards the machine was started with.
        var cards = 0
        /// What keeps the cards joined to the namespace; nil before.
        var redirect: TapRedirect?
        var localConnections: LocalConnections?
    }

    /// A card for each interface that is there already, and one where there is none yet.
    func networkCards() throws -> [NetworkCard] {
        guard configuration.hasNetwork else { return [] }
        let count = max(1, try PodNetwork.read().interfaces.count)
        network.withLock { $0.cards = count }
        return (0..<count).map { NetworkCard(hardwareAddress: Self.deviceAddress($0), tap: PodNetwork.tapName($0)) }
    }

    /// Gives the guest what the namespace has, and joins the one to the other; does nothing when that was done before, and
    /// when there is nothing in the namespace. To be called before the first process starts.
    public func configureNetwork() throws {
        guard configuration.hasNetwork, network.withLock({ $0.redirect == nil }) else { return }
        let guest = try guest()
        // Held throughout: of two containers that start at once the second waits for the first's network.
        try network.withLock { link in
            guard link.redirect == nil else { return }
            try timings.measure("network") { try configure(&link, guest) }
        }
    }

    private func configure(_ link: inout PodLink, _ guest: Guest) throws {
        var request = try PodNetwork.read()
        guard !request.interfaces.isEmpty else { return }
        guard request.interfaces.count <= link.cards else {
            throw SandboxError(
                .failed,
                "the pod's network has \(request.interfaces.count) interfaces and its machine was started with \(link.cards) "
                    + "network cards; attach interfaces before the pod's first container is created")
        }
        for index in request.interfaces.indices {
            request.interfaces[index].deviceAddress = Self.deviceAddress(index)
        }
        let redirect = TapRedirect()
        for (index, interface) in request.interfaces.enumerated() {
            try redirect.join(interface.name, PodNetwork.tapName(index))
        }
        _ = try guest.client.call(Agent.configureNetwork, request, timeout: configuration.bootTimeout)
        link.redirect = redirect
        link.localConnections = takeLocalConnections(guest)
    }

    /// Gives the namespace its interfaces back, for whoever keeps it.
    func releaseNetwork() {
        let link = network.withLock { link in
            defer { link = PodLink() }
            return link
        }
        link.localConnections?.stop()
        link.redirect?.remove()
    }

    /// Locally administered (IEEE 802, section 8.4), and of this guest alone: frames carry the interface's own address.
    private static func deviceAddress(_ index: Int) -> String { "02:00:00:00:00:0\(index + 1)" }
}

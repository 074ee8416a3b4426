import AgentAPI
import Hypervisor
import Network
import System

/// The guest's part of the pod's network namespace, which this process is in. The cards are in the machine from its start;
/// what they are called and answer to is known when the host's network plugins have run, before the pod's first container is
/// created (CRI) or between its creation and its start (`ctr run --cni`).
extension Sandbox {
    struct PodLink: Sendable {
        enum Phase { case unknown, configuring, configured, released }
        var phase = Phase.unknown
        /// How many cards the machine was started with.
        var cards = 0
        /// What keeps the cards joined to the namespace.
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
        guard configuration.hasNetwork else { return }
        // Of two containers that start at once the second waits for the first's network.
        let isOurs = network.wait { link -> Bool? in
            switch link.phase {
            case .configuring: return nil
            case .configured, .released: return false
            case .unknown:
                link.phase = .configuring
                return true
            }
        }
        guard isOurs == true else { return }
        var isConfigured = false
        defer {
            network.withLock { if $0.phase == .configuring { $0.phase = isConfigured ? .configured : .unknown } }
        }
        var request = try PodNetwork.read()
        if request.interfaces.isEmpty { return }
        try timings.measure("network") { try configure(&request, guest()) }
        isConfigured = true
    }

    private func configure(_ request: inout ConfigureNetworkRequest, _ guest: Guest) throws {
        let cards = network.withLock { $0.cards }
        guard request.interfaces.count <= cards else {
            throw SandboxError(
                .failed,
                "the pod's network has \(request.interfaces.count) interfaces and its machine was started with \(cards) "
                    + "network cards; attach interfaces before the pod's first container is created")
        }
        let redirect = TapRedirect()
        for (index, name) in request.interfaces.map(\.name).enumerated() {
            request.interfaces[index].deviceAddress = Self.deviceAddress(index)
            try redirect.join(name, PodNetwork.tapName(index))
        }
        _ = try guest.call(Agent.configureNetwork, request, timeout: configuration.bootTimeout)
        let connections = takeLocalConnections(guest)
        let isReleased = network.withLock { link in
            if link.phase == .released { return true }
            link.redirect = redirect
            link.localConnections = connections
            return false
        }
        if isReleased {
            connections?.stop()
            redirect.remove()
        }
    }

    /// Gives the namespace its interfaces back, for whoever keeps it. Idempotent; once it returns, that is done.
    func releaseNetwork() {
        network.withLock { link in
            link.localConnections?.stop()
            link.redirect?.remove()
            link = PodLink(phase: .released)
        }
    }

    /// Locally administered (IEEE 802, section 8.4), and of this guest alone: frames carry the interface's own address.
    private static func deviceAddress(_ index: Int) -> String { "02:00:00:00:00:0\(index + 1)" }
}

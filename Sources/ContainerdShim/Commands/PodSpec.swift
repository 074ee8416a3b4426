import OCISpec
import System

/// What of a bundle's `config.json` decides which sandbox a container belongs to and where that sandbox runs.
struct PodSpec {
    let spec: RuntimeSpec

    /// - Throws: `ShimError`.
    init(bundle: String) throws(ShimError) {
        let path = "\(bundle)/config.json"
        do { spec = try OCIJSON.decode(RuntimeSpec.self, from: try Files.read(path)) } catch {
            throw ShimError("\(path): \(error)")
        }
    }

    init(_ spec: RuntimeSpec) { self.spec = spec }

    /// Says by which container's id a pod is known: containerd's, then CRI-O's, then the one containerd documents for any
    /// client.
    private static let groupAnnotations = [
        "io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID", "io.containerd.runc.v2.group",
    ]

    /// The pod's name, which all its containers have in common; nil for a container of its own.
    var group: String? {
        Self.groupAnnotations.lazy.compactMap { spec.annotations[$0] }.first { !$0.isEmpty }
    }

    /// Where the pod's network is.
    enum Network: Equatable {
        case namespace(path: String)
        /// A namespace of its own that nobody has made yet.
        case new
    }

    static let hostNetworkRefusal =
        "a sandbox cannot use the host's network, which its virtual machine is there to keep it from; give the container a "
        + "network of its own (without --net-host, or with hostNetwork: false in a pod)"

    /// - Throws: `ShimError` for the host's network.
    func network() throws(ShimError) -> Network {
        guard let namespace = spec.linux?.namespaces.first(where: { $0.type == "network" }) else {
            throw ShimError(Self.hostNetworkRefusal)
        }
        guard let path = namespace.path, !path.isEmpty else { return .new }
        return .namespace(path: path)
    }
}

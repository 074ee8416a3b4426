/// A virtio network card, whose other end is a tap interface that libvirt makes in this process's network namespace and that
/// goes with QEMU.
public struct NetworkCard: Sendable, Equatable {
    /// The card's own address (`02:00:…`), by which the guest finds it.
    public var hardwareAddress: String
    /// What the tap is called: at most 15 bytes, and not `vnet` with a number, which libvirt would choose itself.
    public var tap: String

    public init(hardwareAddress: String, tap: String) {
        self.hardwareAddress = hardwareAddress
        self.tap = tap
    }

    /// The packets pass through QEMU, never through the host kernel's vhost-net, which guests would reach directly. A ROM to
    /// boot from the network has no use, and its file may not be installed.
    func element(_ address: XMLElement) -> XMLElement {
        XMLElement(
            "interface", ["type": "ethernet"],
            [
                XMLElement("mac", ["address": hardwareAddress]), XMLElement("target", ["dev": tap]),
                XMLElement("model", ["type": "virtio"]), XMLElement("driver", ["name": "qemu"]),
                XMLElement("rom", ["enabled": "no"]), address,
            ])
    }
}

/// A directory of the host's that the guest mounts by its tag: a virtio file system device, whose back end (vhost-user) is
/// another process.
public struct Share: Sendable, Equatable {
    /// Where the back end listens before `VirtualMachine.start`; QEMU's user must be able to connect.
    public var socket: String
    /// At most 36 bytes (virtio specification 1.2, section 5.11.4).
    public var tag: String

    public init(socket: String, tag: String) {
        self.socket = socket
        self.tag = tag
    }

    func element(_ address: XMLElement) -> XMLElement {
        XMLElement(
            "filesystem", ["type": "mount"],
            [
                XMLElement("driver", ["type": "virtiofs"]), XMLElement("source", ["socket": socket]),
                XMLElement("target", ["dir": tag]), address,
            ])
    }
}

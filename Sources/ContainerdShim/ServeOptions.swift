import System

/// What the starter of a sandbox's process puts where.
public enum InheritedDescriptors {
    /// A listening unix socket, at `task.sock` in the state directory.
    static let listener: Int32 = 3
    /// The read end of a pipe whose write end the client alone holds. For containerd, which may come and go, in its place
    /// a socket at which it is said how the start went: `ServerReadiness`.
    static let lifeline: Int32 = 4
    /// Locked, and let go by the kernel when the last process of the sandbox is gone.
    static let lock: Int32 = 5
}

/// What a server for containerd and `start` tell each other.
enum ServerReadiness {
    /// From the server before it ends its side: that it serves. Anything else is why it does not, in one sentence.
    static let word = "ready"
    /// From `start` once it has told containerd of the server. A `start` that ends without that was killed, or failed.
    static let heard = UInt8(ascii: "\n")

    /// In the server. Blocks until `start` has told containerd. - Returns: false when it never will.
    static func waitUntilHeard() -> Bool {
        let start = FileDescriptor(InheritedDescriptors.lifeline)
        defer { start.close() }
        var byte: UInt8 = 0
        return (try? withUnsafeMutableBytes(of: &byte) { try start.read(into: $0) }) == 1 && byte == heard
    }
}

/// The command line of `serve`.
struct ServeOptions: Equatable {
    var id: String
    var stateDirectory: String
    /// What goes with the sandbox beside the state directory.
    var remove: [String] = []
    /// nil for a sandbox that one client starts and that ends with it.
    var containerd: ContainerdOptions?

    init(id: String, stateDirectory: String) {
        self.id = id
        self.stateDirectory = stateDirectory
    }

    /// A file in the state directory that says that what this sandbox made is finished, and `remove` no longer holds.
    private var keepMark: String { "\(stateDirectory)/keep" }

    func keepFiles() throws(SystemError) { try Files.write(keepMark, []) }

    /// Lists the host's cgroups that were made for the sandbox.
    var cgroupRecord: String { "\(stateDirectory)/cgroups" }

    /// Done by the server when it ends in order, and by the guardian in any case, before the state directory goes.
    func removeFiles() {
        if Files.exists(keepMark) { return }
        for path in remove { try? Files.removeTree(path) }
    }

    /// nil for anything but the agreed words.
    init?(_ arguments: [String]) {
        self.init(id: "", stateDirectory: "")
        var containerd = ContainerdOptions()
        var rest = arguments[...]
        while let flag = rest.popFirst() {
            guard let value = rest.popFirst() else { return nil }
            switch flag {
            case "--id": id = value
            case "--state": stateDirectory = value
            case "--remove": remove.append(value)
            case "--namespace": containerd.namespace = value
            case "--events": containerd.events = value
            case "--bundle": containerd.bundle = value
            case "--sandbox": containerd.sandbox = value
            case "--network": containerd.network = .namespace(path: value)
            default: return nil
            }
        }
        if id.isEmpty || !stateDirectory.hasPrefix("/") { return nil }
        if !containerd.namespace.isEmpty { self.containerd = containerd }
    }

    var arguments: [String] {
        var words = ["--id", id, "--state", stateDirectory] + remove.flatMap { ["--remove", $0] }
        guard let containerd else { return words }
        words += ["--namespace", containerd.namespace, "--events", containerd.events, "--bundle", containerd.bundle]
        if !containerd.sandbox.isEmpty { words += ["--sandbox", containerd.sandbox] }
        if case .namespace(let path) = containerd.network { words += ["--network", path] }
        return words
    }
}

/// What a server has to know of the containerd that had it started.
struct ContainerdOptions: Equatable {
    var namespace = ""
    /// Of containerd's ttrpc socket, where events go; may be empty.
    var events = ""
    /// Of the container that began the pod; its `log` is where errors go.
    var bundle = ""
    var network = PodSpec.Network.new
    /// Of containerd's Sandbox service, whose `CreateSandbox` brings the network; empty for a pod that a container begins.
    var sandbox = ""
}

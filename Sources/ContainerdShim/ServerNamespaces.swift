import CSystem
import Glibc
import System

/// A pod's server, QEMU and what else serves the sandbox run in the pod's network namespace and in a mount namespace of
/// their own, so that whatever is mounted for the pod vanishes with them; and under a host name of their own.
enum ServerNamespaces {
    /// Where what the guest is given of the host's files is mounted, below the state directory.
    static func share(_ stateDirectory: String) -> String { "\(stateDirectory)/share" }

    /// While the process is single-threaded: threads started later inherit it all.
    /// - Throws: `SystemError`.
    static func enter(_ network: PodSpec.Network, stateDirectory: String) throws(SystemError) {
        switch network {
        case .new:
            try syscall("unshare", "network namespace") { cs_unshare_network() }
        case .namespace(let path):
            let file = try FileDescriptor.open(path, O_RDONLY)
            let fd = file.raw
            try syscall("setns", path) { cs_enter_network_namespace(fd) }
        }
        try completeHostName()
        try syscall("unshare", "mount namespace") { cs_unshare_mounts() }
        // What the host mounts later, a volume's new content for one, is seen here; nothing goes back.
        try syscall("mount", "/") { mount(nil, "/", nil, UInt(MS_REC | MS_SLAVE), nil) }
    }

    /// libvirt resolves a host name without a domain, to write it into a log, each time a machine starts. Where the host's
    /// resolver cannot be reached from the pod's network that takes 5 s. A dot at its end makes a name complete.
    private static func completeHostName() throws(SystemError) {
        try syscall("unshare", "host name") { cs_unshare_host_name() }
        var name = [CChar](repeating: 0, count: 65)
        try syscall("gethostname") { gethostname(&name, name.count) }
        let length = name.firstIndex(of: 0) ?? 0
        let dot = CChar(bitPattern: UInt8(ascii: "."))
        // The longest is 64 bytes.
        guard length > 0, length < 64, !name[..<length].contains(dot) else { return }
        name[length] = dot
        try syscall("sethostname") { sethostname(name, length + 1) }
    }

    /// Removes the directory from within these namespaces: nothing that is still mounted in it is touched.
    static func removeStateDirectory(_ stateDirectory: String) {
        let share = share(stateDirectory)
        umount2(share, cs_detach_mounts)
        // Empty, unless something is mounted there still.
        guard rmdir(share) == 0 || errno == ENOENT else { return }
        try? Files.removeTree(stateDirectory)
    }
}

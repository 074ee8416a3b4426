import Glibc
import System

/// The directory libvirt's embedded driver keeps everything in: `qemu:///embed?root=PATH`.
struct DriverRoot {
    let path: String
    /// The domain's name. A process has one machine at a time, but libvirt holds on to one that was killed for another
    /// 200 ms: the next gets another name.
    let domainName: String
    private static let machines = Guarded(0)

    /// The longest path a root may have: this is the longest socket below it.
    static let longestPathInBytes = UnixSocket.longestPathInBytes - "/lib/qemu/domain-1-vm/monitor.sock".utf8.count

    var uri: String { "qemu:///embed?root=\(Self.percentEncoded(path))" }
    /// Written by libvirt before QEMU is executed.
    var pidFile: String { "\(path)/run/qemu/\(domainName).pid" }
    /// An empty directory for mounts that only this machine's threads and QEMU see.
    var mountPoint: String { "\(path)/mnt" }
    /// For what QEMU is told of disks that are several files.
    var disks: String { "\(path)/disks" }
    /// QEMU's command line, its environment and what it wrote to stderr.
    var log: String { "\(path)/log/qemu/\(domainName).log" }

    init(_ path: String) throws(HypervisorError) {
        guard path.hasPrefix("/") else {
            throw HypervisorError("start a virtual machine", "the state directory \(path) is not an absolute path")
        }
        guard path.utf8.count <= Self.longestPathInBytes else {
            throw HypervisorError(
                "start a virtual machine",
                "the state directory \(path) has \(path.utf8.count) bytes, and sockets in it allow \(Self.longestPathInBytes)",
                remedy: "use a shorter state directory")
        }
        self.path = path
        let number = Self.machines.withLock { count in
            count += 1
            return count
        }
        domainName = number == 1 ? "vm" : "vm\(number)"
    }

    /// Writes the driver's configuration and points its cache of capabilities at the one that all sandboxes share.
    func prepare(runAs: MachineConfiguration.User?, capabilityCache: String) throws(SystemError) {
        let user = runAs ?? .init(uid: geteuid(), gid: getegid())
        try Files.makeDirectories(path, mode: 0o711)
        for directory in ["etc", "run", "run/qemu", "lib", "lib/qemu", "log", "log/qemu", "cache", "mnt", "disks"] {
            try Files.makeDirectories("\(path)/\(directory)", mode: 0o711)
        }
        let state = "\(path)/lib/qemu"
        if geteuid() == 0 { try syscall("chown", state) { chown(state, user.uid, user.gid) } }
        try Files.write("\(path)/etc/qemu.conf", Self.configuration(user, isRoot: geteuid() == 0))
        try Files.makeDirectories(capabilityCache, mode: 0o700)
        let link = "\(path)/cache/qemu"
        if symlink(capabilityCache, link) != 0 && errno != EEXIST { throw SystemError("symlink", link) }
    }

    /// libvirt's `qemu.conf`.
    static func configuration(_ user: MachineConfiguration.User, isRoot: Bool) -> String {
        var lines = [
            // virtlogd, a daemon, is the default.
            "stdio_handler = \"file\"",
            "seccomp_sandbox = 1",
            // libvirt's own mount namespace for QEMU costs time and gives little where QEMU's user can open nothing.
            "namespaces = []",
            "cgroup_controllers = []",
            "security_driver = \"none\"",
            "security_default_confined = 0",
            // Layers are shared by sandboxes: their owner is never changed.
            "dynamic_ownership = 0",
            "remember_owner = 0",
            "max_core = 0",
        ]
        if isRoot { lines += ["user = \"+\(user.uid)\"", "group = \"+\(user.gid)\""] }
        return lines.joined(separator: "\n") + "\n"
    }

    /// RFC 3986, section 2: everything but unreserved characters and `/`.
    static func percentEncoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: "/"):
                result.unicodeScalars.append(UnicodeScalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
            }
        }
        return result
    }
}

import CCrypto
import CSystem
import Config
import Glibc
import SandboxClient
import System

/// The state directory of a pod's sandbox, found by containerd's address, the namespace and the pod's name alone, so that
/// whoever is asked about the pod finds the same.
struct PodDirectory {
    /// Holds all sandboxes' directories.
    let base: String
    let name: String

    var path: String { "\(base)/\(name)" }
    var socket: String { "\(path)/task.sock" }
    /// As containerd is told it.
    var address: String { "unix://\(socket)" }
    /// Locked by every process of the sandbox.
    var lock: String { "\(path)/lock" }
    /// Holds the guardian's pid.
    var guardian: String { "\(path)/guardian" }

    init(base: String, containerd: String, namespace: String, group: String) {
        self.base = base
        // 64 bits of a digest: names of any length fit a socket's path.
        name = Self.digest([containerd, namespace, group].joined(separator: "\0")).prefix(16).description
    }

    /// - Parameter address: of a server, as written into a bundle; nil for anything else.
    init?(address: String) {
        let text = address.filter { !$0.isWhitespace }
        guard text.hasPrefix("unix:///"), text.hasSuffix("/task.sock") else { return nil }
        let directory = Files.parent(of: String(text.dropFirst("unix://".count)))
        guard let slash = directory.lastIndex(of: "/"), slash != directory.startIndex else { return nil }
        base = String(directory[..<slash])
        name = String(directory[directory.index(after: slash)...])
    }

    /// Whether a process of the sandbox is there.
    var isInUse: Bool {
        guard let file = try? FileDescriptor.open(lock, O_RDWR) else { return false }
        return cs_flock(file.raw, LOCK_EX | LOCK_NB) != 0
    }

    /// Blocks until no process of the sandbox is left. - Returns: false when the time was up.
    func waitUntilUnused(timeout: Duration) -> Bool {
        guard let file = try? FileDescriptor.open(lock, O_RDWR) else { return true }
        let done = Guarded(false)
        let fd = file.raw
        Thread.start("lock") {
            while cs_flock(fd, LOCK_EX) != 0 && errno == EINTR {}
            withExtendedLifetime(file) { done.withLock { $0 = true } }
        }
        return done.wait(timeout: timeout) { $0 ? true : nil } ?? false
    }

    static func digest(_ text: String) -> String {
        var bytes = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 32
        let input = Array(text.utf8)
        EVP_Digest(input, input.count, &bytes, &length, EVP_sha256(), nil)
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

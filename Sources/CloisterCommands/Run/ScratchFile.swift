import Glibc
import Storage
import System

/// A container's writable disk. Until its sandbox is started it is this process's to remove; then the sandbox's.
final class ScratchFile: Sendable {
    let path: String
    private let ours = Guarded(true)

    /// - Parameter directory: the image store's own for scratch disks, where their templates are.
    init(for id: String, in directory: String, stateDirectory: String) throws {
        Self.sweep(directory, stateDirectory)
        path = "\(directory)/\(Self.prefix)\(id)\(Self.suffix)"
        try ScratchDisk(directory: directory).make(at: path)
    }

    func handOver() { ours.withLock { $0 = false } }

    func remove() { if ours.withLock({ $0 }) { unlink(path) } }

    deinit { remove() }

    private static let prefix = "run-"
    private static let suffix = ".img"
    /// Between a disk's making and its sandbox's directory there are milliseconds.
    private static let graceInSeconds = 10

    /// Removes what a command left that was killed in those milliseconds.
    private static func sweep(_ directory: String, _ stateDirectory: String) {
        for name in (try? Files.list(directory)) ?? [] where name.hasPrefix(prefix) && name.hasSuffix(suffix) {
            let id = name.dropFirst(prefix.count).dropLast(suffix.count)
            var info = stat()
            let path = "\(directory)/\(name)"
            guard !Files.exists("\(stateDirectory)/\(id)"), stat(path, &info) == 0,
                info.st_mtim.tv_sec + graceInSeconds < time(nil)
            else { continue }
            unlink(path)
        }
    }
}

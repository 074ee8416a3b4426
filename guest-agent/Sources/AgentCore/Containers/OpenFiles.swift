import AgentAPI
import System

/// The kernel's own limit of open files, above which no process's can be set (kernel
/// `Documentation/admin-guide/sysctl/fs.rst`, `nr_open`).
enum OpenFiles {
    private static let file = "/proc/sys/fs/nr_open"
    /// The most the kernel takes: `INT_MAX`, rounded down to a whole word of bits.
    private static let most = UInt64(Int32.max) & ~63

    /// Raises it to what a process is to have: distributions raise it at boot, as far as it goes.
    static func allow(_ limits: [Rlimit]) {
        let wanted = limits.filter { $0.type == "RLIMIT_NOFILE" }.map(\.hard).max() ?? 0
        // The kernel's default; nearly nobody asks for more.
        guard wanted > 1 << 20, wanted <= most else { return }
        let now = (try? Files.readText(file))?.split(separator: "\n").first.flatMap { UInt64($0) } ?? 0
        // What cannot be raised is told when the process's limit is set.
        if wanted > now { try? Files.write(file, "\(wanted)") }
    }
}

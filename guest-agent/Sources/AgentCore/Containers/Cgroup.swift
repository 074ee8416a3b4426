import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// A container's control group (cgroup v2, kernel `Documentation/admin-guide/cgroup-v2.rst`).
struct Cgroup: Sendable {
    static let mountPoint = "/sys/fs/cgroup"
    private static let parent = "\(mountPoint)/cloister"

    let path: String

    /// Makes every controller the kernel has available to containers' groups. Once, at start.
    static func enableControllers() throws(SystemError) {
        try Files.makeDirectories(parent, mode: 0o755)
        for directory in [mountPoint, parent] {
            let available = try Files.readText("\(directory)/cgroup.controllers")
                .split(whereSeparator: { $0 == " " || $0 == "\n" })
            if available.isEmpty { continue }
            try Files.write("\(directory)/cgroup.subtree_control", available.map { "+\($0)" }.joined(separator: " "))
        }
    }

    /// Makes the group and sets its limits. - Throws: `SystemError`, `RPCError` for limits the kernel refuses.
    static func create(containerID: String, _ resources: Resources) throws -> Cgroup {
        let cgroup = Cgroup(path: "\(parent)/\(containerID)")
        try syscall("mkdir", cgroup.path) { mkdir(cgroup.path, 0o755) }
        do {
            try cgroup.apply(resources)
            try DeviceFilter(resources.deviceRules)?.attach(to: try cgroup.open())
        } catch {
            rmdir(cgroup.path)
            throw error
        }
        return cgroup
    }

    func apply(_ resources: Resources) throws(RPCError) {
        for (file, value) in try CgroupLimits.files(resources, now: { read($0) }) {
            do { try Files.write("\(path)/\(file)", value) } catch {
                throw RPCError(.invalidArgument, "limit \(file) = \(value) of the container: \(error)")
            }
        }
    }

    func open() throws(SystemError) -> FileDescriptor { try FileDescriptor.open(path, O_RDONLY | ca_o_directory) }

    /// A file's content without the line's end; nil where the kernel has no such file.
    func read(_ file: String) -> String? {
        (try? Files.readText("\(path)/\(file)")).map { $0.hasSuffix("\n") ? String($0.dropLast()) : $0 }
    }

    /// A flat-keyed file, `key number` on each line.
    func counters(_ file: String) -> [String: UInt64] {
        var counters: [String: UInt64] = [:]
        for line in (read(file) ?? "").split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, let value = UInt64(words[1]) { counters[String(words[0])] = value }
        }
        return counters
    }

    /// How often the kernel has killed a process of the group for want of memory.
    func outOfMemoryKills() -> UInt64 { counters("memory.events")["oom_kill"] ?? 0 }

    /// Process numbers as the guest's outermost namespace has them, of the group and those the container made in it.
    func processes() throws(SystemError) -> [pid_t] {
        var pids = Self.numbers(try Files.readText("\(path)/cgroup.procs"))
        var groups = Self.subgroups(path)
        while let group = groups.popLast() {
            // One that is gone, or holds threads alone, has no processes to tell of.
            pids += Self.numbers((try? Files.readText("\(group)/cgroup.procs")) ?? "")
            groups += Self.subgroups(group)
        }
        return pids
    }

    private static func numbers(_ text: String) -> [pid_t] { text.split(separator: "\n").compactMap { pid_t($0) } }

    private static func subgroups(_ path: String) -> [String] {
        ((try? Files.list(path)) ?? []).map { "\(path)/\($0)" }.filter { name in
            var info = stat()
            return lstat(name, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
        }
    }

    /// Sends `SIGKILL` to every process, those being forked included.
    func kill() throws(SystemError) { try Files.write("\(path)/cgroup.kill", "1") }

    /// Kills what is left and removes the group, with those that the container made in it.
    func remove() {
        guard Files.exists(path) else { return }
        try? kill()
        Self.removeTree(path, deadline: Clock.monotonic + .seconds(5))
    }

    private static func removeTree(_ path: String, deadline: Duration) {
        for group in subgroups(path) { removeTree(group, deadline: deadline) }
        guard let events = try? FileDescriptor.open("\(path)/cgroup.events", O_RDONLY) else { return }
        var buffer = [UInt8](repeating: 0, count: 256)
        while true {
            // Reading arms the notification of the next change.
            _ = pread(events.raw, &buffer, buffer.count, 0)
            if rmdir(path) == 0 || errno == ENOENT { return }
            guard errno == EBUSY, Clock.monotonic < deadline else {
                Log.error("\(SystemError("rmdir", path))")
                return
            }
            var wait = pollfd(fd: events.raw, events: Int16(POLLPRI), revents: 0)
            poll(&wait, 1, 100)
        }
    }
}

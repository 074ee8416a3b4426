import Glibc
import System

/// A sandbox's place among the host's cgroups: the directory that `linux.cgroupsPath` of its first container's specification
/// names, in every hierarchy that is mounted.
///
/// Nothing is limited here. The directory above is the pod's, and whoever made it (the kubelet, with the overhead of the
/// RuntimeClass added) has set the pod's limits there; they hold for all that this process and its children, QEMU and
/// virtiofsd, use from now on. What the containers may use of it is limited inside the guest.
public struct HostCgroup: Equatable, Sendable {
    /// Below a hierarchy's mount point; never empty, without `.` and `..`.
    let components: [String]

    /// - Parameter cgroupsPath: a path (`/kubepods/burstable/podUID/ID`), or systemd's `SLICE:PREFIX:NAME`, which stands for
    ///   the path that systemd would make of it; the slice above is where systemd has the limits.
    /// - Throws: `SandboxError` for what is neither.
    public init(cgroupsPath: String) throws(SandboxError) {
        let parts = cgroupsPath.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let path: [String]
        if parts.count == 3 && !cgroupsPath.contains("/") {
            path = try Self.systemd(slice: parts[0], prefix: parts[1], name: parts[2], cgroupsPath)
        } else {
            path = cgroupsPath.split(separator: "/").map(String.init).filter { $0 != "." }
        }
        guard !path.isEmpty, !path.contains(".."), !cgroupsPath.utf8.contains(0), !cgroupsPath.contains("\n") else {
            throw Self.invalid(cgroupsPath)
        }
        components = path
    }

    private static func invalid(_ path: String) -> SandboxError {
        SandboxError(.invalid, "linux.cgroupsPath \"\(path)\" names no cgroup")
    }

    /// systemd.slice(5): each dash in a slice's name is a level.
    private static func systemd(
        slice: String, prefix: String, name: String, _ path: String
    ) throws(SandboxError) -> [String] {
        let suffix = ".slice"
        let slice = slice.isEmpty ? "system.slice" : slice
        guard slice.hasSuffix(suffix), !name.isEmpty else { throw invalid(path) }
        var levels: [String] = []
        if slice != "-.slice" {
            var parent = ""
            for level in slice.dropLast(suffix.count).split(separator: "-", omittingEmptySubsequences: false) {
                guard !level.isEmpty else { throw invalid(path) }
                parent += parent.isEmpty ? String(level) : "-\(level)"
                levels.append(parent + suffix)
            }
        }
        let unit = prefix.isEmpty ? name : "\(prefix)-\(name)"
        return levels + [unit.hasSuffix(suffix) ? unit : unit + ".scope"]
    }

    func directory(in hierarchy: CgroupHierarchy) -> String {
        ([hierarchy.mountPoint] + components).joined(separator: "/")
    }

    /// Moves a process, with all its threads, here; made where it is not there yet.
    /// - Parameters:
    ///   - record: a file that is written before anything is made, for `removeRecorded`.
    ///   - pid: 0 is the calling process. Children that it has already stay where they are.
    /// - Throws: `SandboxError` that names the directory: a pod's limits that do not hold are no detail.
    public func join(
        pid: pid_t = 0, record: String, hierarchies: [CgroupHierarchy]? = nil
    ) throws(SandboxError) {
        do throws(SystemError) {
            var all: [CgroupHierarchy]
            if let hierarchies { all = hierarchies } else { all = try CgroupHierarchy.mounted() }
            try Files.write(record, all.map { directory(in: $0) + "\n" }.joined())
            for hierarchy in all {
                try make(in: hierarchy)
                let procs = "\(directory(in: hierarchy))/cgroup.procs"
                try Self.write(procs, "\(pid)")
            }
        } catch {
            throw SandboxError(
                .failed, "the sandbox cannot enter its cgroup on the host: \(error)")
        }
    }

    /// Removes the directories that a `record` lists; those above stay, as they may be others'. Does nothing without a
    /// record. A process is still in its cgroup for a moment after its files are closed, and so after others take it for
    /// gone; version 1 tells nobody when it has left.
    public static func removeRecorded(_ record: String, patience: Duration = .seconds(2)) {
        guard let text = try? Files.readText(record) else { return }
        let deadline = Clock.monotonic + patience
        for directory in text.split(separator: "\n").map(String.init) {
            while rmdir(directory) != 0, errno == EBUSY, Clock.monotonic < deadline { usleep(5000) }
        }
    }

    private var isSystemds: Bool { components.contains { $0.hasSuffix(".slice") } }

    private func make(in hierarchy: CgroupHierarchy) throws(SystemError) {
        var path = hierarchy.mountPoint
        for component in components {
            let parent = path
            // Of slices, systemd alone says what is counted.
            if hierarchy.isUnified && !isSystemds { Self.delegateControllers(parent) }
            path += "/\(component)"
            if mkdir(path, 0o755) != 0 {
                guard errno == EEXIST else { throw SystemError("mkdir", path) }
            }
            // A cpuset is born empty, and takes no process until it has processors and memory.
            if hierarchy.controllers.contains("cpuset") {
                for file in ["cpuset.cpus", "cpuset.mems"] { try Self.inherit(file, from: parent, to: path) }
            }
        }
    }

    private static func inherit(_ file: String, from parent: String, to child: String) throws(SystemError) {
        func value(_ directory: String) throws(SystemError) -> String {
            let text = try Files.readText("\(directory)/\(file)")
            return String(text.prefix { $0 != "\n" })
        }
        if try value(child).isEmpty { try write("\(child)/\(file)", try value(parent)) }
    }

    /// So that the pod's use is counted below as well, where kubelet and others look. A cgroup that may not do so is left.
    private static func delegateControllers(_ directory: String) {
        let known = (try? Files.readText("\(directory)/cgroup.controllers")) ?? ""
        for controller in known.split(whereSeparator: \.isWhitespace) {
            try? write("\(directory)/cgroup.subtree_control", "+\(controller)")
        }
    }

    /// The kernel's files are there or not: none is made.
    private static func write(_ path: String, _ text: String) throws(SystemError) {
        let file = try FileDescriptor.open(path, O_WRONLY)
        do { try file.writeAll(Array(text.utf8)) } catch { throw SystemError("write", path, errno: error.errno) }
    }
}

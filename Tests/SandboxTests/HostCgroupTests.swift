import Glibc
import System
import Testing

@testable import Sandbox

@Suite struct CgroupHierarchyTests {
    static let first = """
        24 1 0:22 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
        25 24 0:23 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate
        26 24 0:24 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,name=systemd
        27 24 0:25 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
        28 24 0:25 / /other/cpu rw - cgroup cgroup rw,cpuacct,cpu
        29 24 0:26 /docker/x /with\\040blank rw - cgroup cgroup rw,memory

        """
    static let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

    @Test func hybrid() {
        #expect(
            CgroupHierarchy.mounted(mountInfo: Self.first) == [
                CgroupHierarchy(mountPoint: "/sys/fs/cgroup/unified", isUnified: true, controllers: []),
                CgroupHierarchy(mountPoint: "/sys/fs/cgroup/systemd", isUnified: false, controllers: ["name=systemd"]),
                CgroupHierarchy(
                    mountPoint: "/sys/fs/cgroup/cpu,cpuacct", isUnified: false, controllers: ["cpu", "cpuacct"]),
                CgroupHierarchy(mountPoint: "/with blank", isUnified: false, controllers: ["memory"]),
            ])
    }

    @Test func versionTwoAlone() {
        #expect(
            CgroupHierarchy.mounted(mountInfo: Self.unified)
                == [CgroupHierarchy(mountPoint: "/sys/fs/cgroup", isUnified: true, controllers: [])])
    }

    @Test(arguments: ["", "x", "1 2 3 4 5 - cgroup", "1 2 3 / /a\\9 rw - cgroup2 cgroup2 rw"])
    func whatIsNotUnderstoodIsSkipped(_ text: String) { #expect(CgroupHierarchy.mounted(mountInfo: text) == []) }
}

@Suite struct HostCgroupTests {
    static let hierarchy = CgroupHierarchy(mountPoint: "/cg", isUnified: true, controllers: [])

    @Test(arguments: [
        ("/kubepods/burstable/pod1/abc", "/cg/kubepods/burstable/pod1/abc"), ("/default/abc", "/cg/default/abc"),
        ("//k8s.io/./abc/", "/cg/k8s.io/abc"), ("abc", "/cg/abc"), ("/with:colons:in/abc", "/cg/with:colons:in/abc"),
        (
            "kubepods-burstable-pod1_2.slice:cri-containerd:abc",
            "/cg/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-abc.scope"
        ),
        ("system.slice:runc:abc", "/cg/system.slice/runc-abc.scope"), (":crio:abc", "/cg/system.slice/crio-abc.scope"),
        ("-.slice:p:abc", "/cg/p-abc.scope"), ("user.slice::abc", "/cg/user.slice/abc.scope"),
        ("user.slice::own.slice", "/cg/user.slice/own.slice"),
    ])
    func places(_ path: String, _ expected: String) throws {
        #expect(try HostCgroup(cgroupsPath: path).directory(in: Self.hierarchy) == expected)
    }

    @Test(arguments: [
        "", "/", "/a/../b", "..", "a.scope:b:c", "a--b.slice:c:d", "a.slice:b:", "/a\nb", "/a\0b", "/./.",
    ])
    func whatNamesNoCgroup(_ path: String) {
        #expect(throws: SandboxError.self) { try HostCgroup(cgroupsPath: path) }
    }

    /// With the host's own hierarchies, of whatever version.
    @Test(.enabled(if: HostCgroupTests.mayMakeCgroups))
    func aProcessIsMovedAndTheDirectoryRemoved() throws {
        let name = "cloister-test-\(getpid())"
        let record = "/tmp/\(name)"
        defer { unlink(record) }
        let hierarchies = try CgroupHierarchy.mounted()
        let cgroup = try HostCgroup(cgroupsPath: "/\(name)/pod/sandbox")
        let parents = ["/\(name)/pod", "/\(name)"].flatMap { path in hierarchies.map { $0.mountPoint + path } }
        defer { for path in parents { rmdir(path) } }

        let child = try ChildProcess.spawn("/bin/sleep", ["1000"])
        try cgroup.join(pid: child.pid, record: record)
        let places = try Files.readText("/proc/\(child.pid)/cgroup").split(separator: "\n")
        #expect(places.count >= hierarchies.count)
        for hierarchy in hierarchies {
            let directory = cgroup.directory(in: hierarchy)
            #expect(try Files.readText("\(directory)/cgroup.procs") == "\(child.pid)\n")
        }
        // A second sandbox of the same place: nothing is in its way.
        try cgroup.join(pid: child.pid, record: record)
        // While somebody is in it, it stays.
        HostCgroup.removeRecorded(record, patience: .zero)
        #expect(hierarchies.allSatisfy { Files.exists(cgroup.directory(in: $0)) })
        // One that is about to leave is waited for.
        Thread.start("end") {
            child.signal(SIGKILL)
            _ = child.wait()
        }
        HostCgroup.removeRecorded(record)
        #expect(hierarchies.allSatisfy { !Files.exists(cgroup.directory(in: $0)) })
        #expect(parents.allSatisfy { Files.exists($0) })
    }

    @Test func aHierarchyThatCannotBeUsedIsNamed() throws {
        let record = "/tmp/cloister-test-record-\(getpid())"
        defer { unlink(record) }
        let cgroup = try HostCgroup(cgroupsPath: "/a/b")
        #expect {
            try cgroup.join(
                record: record,
                hierarchies: [CgroupHierarchy(mountPoint: "/dev/null", isUnified: true, controllers: [])])
        } throws: { error in
            "\(error)" == "the sandbox cannot enter its cgroup on the host: mkdir /dev/null/a: Not a directory"
        }
        #expect(try Files.readText(record) == "/dev/null/a/b\n")
        HostCgroup.removeRecorded(record)
        HostCgroup.removeRecorded("/nowhere/record")
    }

    static var mayMakeCgroups: Bool {
        guard let hierarchies = try? CgroupHierarchy.mounted(), !hierarchies.isEmpty else { return false }
        return hierarchies.allSatisfy { access($0.mountPoint, W_OK) == 0 }
    }
}

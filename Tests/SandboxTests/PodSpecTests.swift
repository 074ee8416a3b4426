import AgentAPI
import Glibc
import OCISpec
import System
import Testing

@testable import Sandbox

/// What of a specification that containerd made for its host reaches a pod's guest.
struct PodSpecTests {
    private static func spec(_ change: (inout RuntimeSpec) -> Void = { _ in }) -> RuntimeSpec {
        var spec = RuntimeSpec.containerDefault()
        spec.linux?.resources = RuntimeSpec.Resources(devices: [.init(allow: false, access: "rwm")])
        change(&spec)
        return spec
    }

    /// Like a container of a CRI pod beside its first.
    private static func member(_ change: (inout RuntimeSpec.Linux) -> Void = { _ in }) -> RuntimeSpec {
        spec { spec in
            spec.linux?.namespaces = [
                .init(type: "ipc", path: "/proc/42/ns/ipc"), .init(type: "uts", path: "/proc/42/ns/uts"),
                .init(type: "network", path: "/proc/42/ns/net"), .init(type: "pid"), .init(type: "mount"),
            ]
            if let linux = spec.linux {
                var linux = linux
                change(&linux)
                spec.linux = linux
            }
        }
    }

    private func convert(_ spec: RuntimeSpec) throws -> ContainerSpec {
        try ContainerSpec(spec) { NamespacePath.process($0) == 42 ? "first" : nil }
    }

    @Test func theFirstContainerHasItsOwn() throws {
        let converted = try convert(Self.spec())
        #expect(converted.namespaces == ["pid", "ipc", "uts", "mount", "cgroup"], "the network is the guest's")
        #expect(converted.joinedNamespaces.isEmpty)
        #expect(!converted.allDevices)
    }

    @Test func othersShareWithTheFirst() throws {
        let converted = try convert(Self.member())
        #expect(converted.namespaces == ["pid", "mount"])
        #expect(converted.joinedNamespaces == ["ipc": "first", "uts": "first"])
        let sharingAll = try convert(Self.member { $0.namespaces[3].path = "/proc/42/ns/pid" })
        #expect(sharingAll.joinedNamespaces == ["ipc": "first", "uts": "first", "pid": "first"])
        #expect(try convert(Self.member { $0.namespaces.removeLast() }).namespaces == ["pid", "mount"])
    }

    @Test(arguments: [
        ("/proc/42/ns/pid", pid_t(42)), ("/proc/1/ns/ipc", 1), ("/proc/42/ns/mnt", nil), ("/proc/42/../42/ns/pid", nil),
        ("/proc/42/ns/pid/", nil), ("/proc/self/ns/pid", nil), ("proc/42/ns/pid", nil), ("/run/netns/pod", nil),
    ])
    func namespacePaths(_ path: String, _ process: pid_t?) {
        #expect(NamespacePath.process(path) == process)
    }

    struct Refusal: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var text: String
        var change: @Sendable (inout RuntimeSpec.Linux) -> Void
        init(_ name: String, _ text: String, _ change: @escaping @Sendable (inout RuntimeSpec.Linux) -> Void) {
            (testDescription, self.text, self.change) = (name, text, change)
        }
    }

    @Test(arguments: [
        Refusal("host PID", "host's pid namespace") { $0.namespaces.removeAll { $0.type == "pid" } },
        Refusal("host IPC", "host's ipc namespace") { $0.namespaces.removeAll { $0.type == "ipc" } },
        Refusal("host network", "host's network namespace") { $0.namespaces.removeAll { $0.type == "network" } },
        Refusal("another process's", "the ipc namespace /proc/1/ns/ipc is not one of this pod's") {
            $0.namespaces[0].path = "/proc/1/ns/ipc"
        },
        Refusal("mounts of another", "the mount namespace /proc/42/ns/mnt is not one of this pod's") {
            $0.namespaces[4].path = "/proc/42/ns/mnt"
        },
        Refusal("user namespace by path", "set hostUsers to true") {
            $0.namespaces.append(.init(type: "user", path: "/proc/42/ns/user"))
        },
        Refusal("mapped user namespace", "set hostUsers to true") {
            $0.namespaces.append(.init(type: "user"))
            $0.uidMappings = [.init(containerID: 0, hostID: 65536, size: 65536)]
        },
        Refusal("a device of a number that means nothing elsewhere", "/dev/nvidia0, a device of the host") {
            $0.devices = [.init(type: "c", path: "/dev/nvidia0", major: 195, minor: 0)]
        },
    ])
    func refuses(_ one: Refusal) throws {
        let error = try #require(throws: SandboxError.self) { try convert(Self.member(one.change)) }
        #expect(error.kind == .invalid)
        #expect(error.description.contains(one.text), "\(error)")
    }

    @Test func defaultDevicesMayBeUsed() throws {
        let converted = try convert(
            Self.member { $0.devices = [.init(type: "c", path: "/dev/fuse", major: 10, minor: 229)] })
        #expect(converted.devices.map(\.path) == ["/dev/fuse"])
        let rules = converted.resources.deviceRules
        #expect(rules.first?.allow == false)
        #expect(rules.contains { $0.allow && $0.type == "c" && $0.major == 1 && $0.minor == 3 }, "/dev/null")
    }

    /// What the host's numbers allow of disks is not to be allowed of the guest's own.
    @Test func disksAreKeptAndTheirRulesAreNot() throws {
        let converted = try convert(
            Self.member {
                $0.devices = [.init(type: "b", path: "/dev/xvda", major: 8, minor: 0)]
                $0.resources?.devices.append(.init(allow: true, type: "b", major: 8, minor: 0, access: "rw"))
                $0.resources?.devices.append(.init(allow: true, type: "b", major: 7, access: "rw"))
            })
        #expect(converted.devices.map(\.path) == ["/dev/xvda"])
        #expect(converted.resources.deviceRules.first?.allow == false)
        #expect(converted.resources.deviceRules.allSatisfy { $0.type != "b" || $0.major == nil && $0.access == "m" })
    }

    /// Where the list is of all that the host has, a disk at its own path was named by nobody.
    @Test(arguments: [false, true])
    func disksOfPrivileged(_ listsAll: Bool) throws {
        let spec = Self.privileged { devices in
            devices = [.init(type: "b", path: "/nowhere/disk", major: 8, minor: 0)]
            if listsAll { devices.append(.init(type: "c", path: "/dev/null", major: 1, minor: 3)) }
        }
        #expect(try convert(spec).devices.map(\.path) == ["/nowhere/disk"])
        guard let own = try Files.list("/dev").lazy.compactMap(Self.block).first else { return }
        let host = Self.privileged { devices in
            devices = [own]
            if listsAll { devices.append(.init(type: "c", path: "/dev/null", major: 1, minor: 3)) }
        }
        #expect(try convert(host).devices.map(\.path) == (listsAll ? [] : [own.path]))
    }

    private static func block(_ name: String) -> RuntimeSpec.Device? {
        var info = stat()
        guard stat("/dev/\(name)", &info) == 0, info.st_mode & S_IFMT == S_IFBLK else { return nil }
        let number = DeviceNumber(info.st_rdev)
        return .init(type: "b", path: "/dev/\(name)", major: number.major, minor: number.minor)
    }

    private static func privileged(_ change: (inout [RuntimeSpec.Device]) -> Void) -> RuntimeSpec {
        spec { spec in
            let all = ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_MKNOD", "CAP_CHOWN"]
            spec.process?.capabilities = .init(bounding: all, effective: all, permitted: all)
            spec.linux?.maskedPaths = []
            spec.linux?.readonlyPaths = []
            var devices: [RuntimeSpec.Device] = []
            change(&devices)
            spec.linux?.devices = devices
        }
    }

    @Test func privilegedIsPrivilegedInTheGuest() throws {
        let spec = Self.privileged { $0 = [.init(type: "c", path: "/dev/nvidia0", major: 195, minor: 0)] }
        let converted = try convert(spec)
        #expect(converted.allDevices && converted.devices.isEmpty && converted.resources.deviceRules.isEmpty)
        // `cloister run` takes a specification as it is.
        let own = try ContainerSpec(spec)
        #expect(!own.allDevices && own.devices.count == 1 && own.resources.deviceRules.count == 1)
    }

    @Test func theHostsCPUNumbersAreLeftOut() throws {
        var limits = RuntimeSpec.Resources()
        limits.cpu = .init(shares: 512, cpus: "8-9", mems: "1")
        let resources = Resources(pod: limits)
        #expect(resources.cpus == "" && resources.memoryNodes == "" && resources.cpuShares == 512)
    }
}

import AgentAPI
import System
import TTRPC
import Testing

@testable import AgentCore

/// What needs no container: limits, users, options and filter programs.
struct TableTests {
    @Test(
        arguments: [
            ("10.1.2.3/24", 24, 4, [10, 1, 2, 255]), ("10.1.2.3", 32, 4, nil), ("10.1.2.3/31", 31, 4, nil),
            ("0.0.0.0/0", 0, 4, [255, 255, 255, 255]), ("fd00::1/64", 64, 16, nil), ("::1", 128, 16, nil),
        ] as [(String, UInt8, Int, [UInt8]?)])
    func networkAddresses(_ text: String, _ length: UInt8, _ size: Int, _ broadcast: [UInt8]?) throws {
        let address = try #require(NetworkAddress(text))
        #expect(address.prefixLength == length && address.bytes.count == size && address.broadcast == broadcast)
    }

    @Test(arguments: [
        "", "/", "10.1.2", "10.1.2.3/33", "10.1.2.3/-1", "10.1.2.3/", "fd00::1/129", "::x", "1.2.3.4/1/2",
    ])
    func notNetworkAddresses(_ text: String) { #expect(NetworkAddress(text) == nil) }

    @Test(arguments: ["", "02:00", "02:00:00:00:00:001:", "02:00:00:00:00:0g", "02:00:00:00:00:00:00"])
    func notHardwareAddresses(_ text: String) { #expect(HardwareAddress(text) == nil) }

    @Test(arguments: [
        ("10.0.0.1", false), ("169.254.1.1", true), ("fe80::1", true), ("fec0::1", false), ("fd00::1", false),
    ])
    func linkLocal(_ text: String, _ expected: Bool) { #expect(NetworkAddress(text)?.isLinkLocal == expected) }

    /// A request of netlink(7): lengths and padding, an attribute in an attribute.
    @Test func netlinkRequest() {
        var request = NetlinkRequest(16, flags: 0x400, UInt32(7))
        request.add(3, "eth0")
        request.add(26) { $0.add(10, UInt8(1)) }
        let bytes = request.message(4)
        #expect(bytes.count == 44 && bytes[0] == 44 && bytes[4] == 16 && bytes[6] == 0x05 && bytes[7] == 0x04)
        let attributes = NetlinkAttributes(bytes[20...])
        #expect(attributes[3] == Array("eth0\0".utf8))
        #expect(attributes[26].flatMap { NetlinkAttributes($0[...])[10] } == [1])
        #expect(NetlinkAttributes([9, 0, 1, 0, 1])[1] == nil, "longer than there is")
    }

    @Test func limitsBecomeFiles() throws {
        var resources = Resources()
        resources.memoryLimitInBytes = 100 << 20
        resources.memorySwapInBytes = 150 << 20
        resources.memoryReservationInBytes = 50 << 20
        resources.cpuShares = 1024
        resources.cpuQuotaInMicroseconds = 50_000
        resources.cpus = "0-1"
        resources.pidsLimit = 100
        resources.unified = ["memory.high": "1000"]
        let files = try CgroupLimits.files(resources).map { "\($0.0)=\($0.1)" }
        #expect(
            files == [
                "memory.max=104857600", "memory.swap.max=52428800", "memory.low=52428800", "cpu.weight=39",
                "cpu.max=50000 100000", "cpuset.cpus=0-1", "pids.max=100", "memory.high=1000",
            ])
    }

    @Test(arguments: [
        (Int64(-1), Int64(-1), ["memory.max=max", "memory.swap.max=max"]),
        (4096, 4096, ["memory.max=4096", "memory.swap.max=0"]),
        (4096, 0, ["memory.max=4096"]),
    ])
    func memoryAndSwap(memory: Int64, both: Int64, expected: [String]) throws {
        var resources = Resources()
        resources.memoryLimitInBytes = memory
        resources.memorySwapInBytes = both
        #expect(try CgroupLimits.files(resources).map { "\($0.0)=\($0.1)" } == expected)
    }

    @Test func anUpdateKeepsWhatItDoesNotName() throws {
        let now = ["memory.max": "4096", "cpu.max": "20000 50000"]
        func files(_ change: (inout Resources) -> Void) throws -> [String] {
            var resources = Resources()
            change(&resources)
            return try CgroupLimits.files(resources) { now[$0] }.map { "\($0.0)=\($0.1)" }
        }
        #expect(try files { $0.cpuQuotaInMicroseconds = 30_000 } == ["cpu.max=30000 50000"])
        #expect(try files { $0.cpuQuotaInMicroseconds = -1 } == ["cpu.max=max 50000"])
        #expect(try files { $0.cpuPeriodInMicroseconds = 40_000 } == ["cpu.max=20000 40000"])
        #expect(try files { $0.memorySwapInBytes = 8192 } == ["memory.swap.max=4096"])
        // Clients send zero for what they do not set.
        #expect(
            try files {
                $0.memoryLimitInBytes = 0
                $0.memoryReservationInBytes = 0
                $0.memorySwapInBytes = 0
                $0.cpuQuotaInMicroseconds = 0
                $0.cpuPeriodInMicroseconds = 0
                $0.cpuShares = 0
                $0.pidsLimit = 0
            } == [])
    }

    @Test func readsWhatDevicesDid() {
        let devices = Cgroup.devices("254:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:0 \nnonsense\n")
        #expect(devices.map(\.major) == [254, 7] && devices.map(\.minor) == [16, 0])
        #expect(devices.map(\.readBytes) == [1, 0] && devices.map(\.writtenBytes) == [2, 0])
        #expect(devices.map(\.reads) == [3, 0] && devices.map(\.writes) == [4, 0])
    }

    @Test func limitsThatCannotBe() {
        var below = Resources()
        below.memoryLimitInBytes = 4096
        below.memorySwapInBytes = 1024
        var climbing = Resources()
        climbing.unified = ["../memory.max": "1"]
        for resources in [below, climbing] {
            #expect(throws: RPCError.self) { try CgroupLimits.files(resources) }
        }
    }

    @Test(arguments: [(UInt64(2), UInt64(1)), (1024, 39), (262_144, 10_000), (0, 1), (.max, 10_000)])
    func sharesBecomeWeights(shares: UInt64, weight: UInt64) {
        #expect(CgroupLimits.weight(shares: shares) == weight)
    }

    private static let users = UserLookup(
        passwd: Array(
            "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\nbob:x:1000:1001::/home/bob:/bin/sh\n77:x:78:79::/odd:\n"
                .utf8),
        group: Array("root:x:0:\nstaff:x:50:bob,root\nvideo:x:44:bob\nbroken\n".utf8))

    @Test(arguments: [
        ("root", UserIdentity(uid: 0, gid: 0, groups: [50], home: "/root")),
        ("bob", UserIdentity(uid: 1000, gid: 1001, groups: [50, 44], home: "/home/bob")),
        ("1000", UserIdentity(uid: 1000, gid: 1001, groups: [50, 44], home: "/home/bob")),
        ("bob:video", UserIdentity(uid: 1000, gid: 44, groups: [], home: "/home/bob")),
        ("bob:7", UserIdentity(uid: 1000, gid: 7, groups: [], home: "/home/bob")),
        ("4321", UserIdentity(uid: 4321, gid: 0, groups: [], home: "/")),
        ("77", UserIdentity(uid: 78, gid: 79, groups: [], home: "/odd")),
        (":staff", UserIdentity(uid: 0, gid: 50, groups: [], home: "/root")),
    ])
    func users(_ user: String, _ expected: UserIdentity) throws {
        var process = ProcessSpec()
        process.user = user
        #expect(try Self.users.identity(process) == expected)
    }

    @Test(arguments: ["eve", "bob:nobody", "-1", "4294967296", "1000:99999999999", "eve:0"])
    func usersThatAreNotThere(_ user: String) {
        var process = ProcessSpec()
        process.user = user
        let error = #expect(throws: RPCError.self) { try Self.users.identity(process) }
        #expect(error?.code == .failedPrecondition)
    }

    @Test func mountOptionsAreSorted() {
        let options = MountOptions([
            "rbind", "ro", "nosuid", "exec", "rslave", "size=5m", "defaults", "rnodev",
        ])
        #expect(options.isBind)
        #expect(options.flags == 0x1000 | 0x4000 | 0x1 | 0x2)
        #expect(options.cleared == 0x8)
        #expect(options.propagation == [0x80000 | 0x4000])
        #expect(options.data == ["size=5m"])
        #expect(options.recursivelySet == 0x4)
        #expect(MountOptions(["ro", "rw"]).flags == 0 && MountOptions(["rw", "ro"]).cleared == 0)
    }

    @Test(arguments: [
        ("web", true), ("a1_b.c-d", true), ("", false), (".", false), ("..", false), ("a/b", false),
        ("-a", false),
        (String(repeating: "a", count: 128), true), (String(repeating: "a", count: 129), false),
        ("a\0", false),
    ])
    func containerIDs(_ id: String, _ isOne: Bool) { #expect(Container.isID(id) == isOne) }
}

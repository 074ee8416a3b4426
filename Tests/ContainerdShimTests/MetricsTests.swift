import AgentAPI
import ContainerdAPI
import Protobuf
import Testing

@testable import ContainerdShim

@Suite struct MetricsTests {
    static var stats: ContainerStats {
        var stats = ContainerStats()
        stats.cpu = ["usage_usec": 7, "user_usec": 4, "system_usec": 3, "nr_throttled": 2]
        stats.memoryInBytes = 1000
        stats.memoryLimitInBytes = 4096
        stats.memory = ["anon": 600, "file": 400, "inactive_file": 100, "pgfault": 9]
        stats.memoryEvents = ["oom_kill": 1, "max": 5]
        stats.processes = 3
        var device = ContainerStats.Device()
        device.major = 254
        device.readBytes = 11
        device.writes = 12
        stats.devices = [device]
        return stats
    }

    @Test func speaksVersion1() throws {
        let any = TaskMetrics.encode(Self.stats, unified: false)
        #expect(any.typeURL == "io.containerd.cgroups.v1.Metrics")
        let metrics = try MetricsV1(decoding: any.value)
        #expect(metrics.cpu?.usage?["total"] == 7000)
        #expect(metrics.cpu?.throttling?["throttled_periods"] == 2)
        #expect(metrics.memory?.usage?["usage"] == 1000)
        #expect(metrics.memory?.usage?["limit"] == 4096)
        #expect(metrics.memory?["total_rss"] == 600)
        #expect(metrics.memory?["total_inactive_file"] == 100)
        #expect(metrics.pids?.current == 3)
        #expect(metrics.oom?["oom_kill"] == 1)
        #expect(metrics.blockIO?.bytes.map(\.value) == [11, 0])
        #expect(metrics.blockIO?.operations.map(\.value) == [0, 12])
    }

    @Test func speaksVersion2() throws {
        let any = TaskMetrics.encode(Self.stats, unified: true)
        #expect(any.typeURL == "io.containerd.cgroups.v2.Metrics")
        let metrics = try MetricsV2(decoding: any.value)
        #expect(metrics.cpu?["usage_usec"] == 7)
        #expect(metrics.memory?["usage"] == 1000)
        #expect(metrics.memory?["usage_limit"] == 4096)
        #expect(metrics.memory?["swap_limit"] == .max)
        #expect(metrics.memory?["inactive_file"] == 100)
        #expect(metrics.memoryEvents?["max"] == 5)
        #expect(metrics.io?.usage.first?["rbytes"] == 11)
    }

    /// The numbers of containerd's own descriptions, at both ends of the tables.
    @Test func numbersAreTheirs() {
        #expect(MetricsV1.Memory(["cache": 1]).encoded() == [1 << 3, 1])
        #expect(MetricsV1.Memory(["hierarchical_memory_limit": 1]).encoded() == [0x80, 0x01, 1])
        #expect(MetricsV1.Memory(["total_unevictable": 1]).encoded() == [0x80, 0x02, 1])
        #expect(MetricsV2.Memory(["swap_limit": 1]).encoded() == [0x98, 0x02, 1])
    }
}

import AgentAPI
import ContainerdAPI
import Protobuf
import Sandbox
import System

/// A container's use, counted by the guest's cgroup v2, as the host's clients expect it: by the version of cgroups that the
/// host has.
enum TaskMetrics {
    /// Says whether all controllers of the host are in the one hierarchy (cgroups(7)).
    private static let hostIsUnified = Files.exists("/sys/fs/cgroup/cgroup.controllers")

    static func encode(_ stats: ContainerStats) -> AnyMessage { encode(stats, unified: hostIsUnified) }

    static func encode(_ stats: ContainerStats, unified: Bool) -> AnyMessage {
        unified ? AnyMessage(MetricsV2.typeURL, version2(stats)) : AnyMessage(MetricsV1.typeURL, version1(stats))
    }

    private static func version2(_ stats: ContainerStats) -> MetricsV2 {
        var metrics = MetricsV2()
        metrics.pids = PidsStat(current: stats.processes, limit: stats.processLimit ?? 0)
        metrics.cpu = MetricsV2.CPU(stats.cpu)
        var memory = stats.memory
        memory["usage"] = stats.memoryInBytes
        memory["usage_limit"] = stats.memoryLimitInBytes ?? .max
        memory["swap_usage"] = stats.swapInBytes
        memory["swap_limit"] = stats.swapLimitInBytes ?? .max
        metrics.memory = MetricsV2.Memory(memory)
        metrics.memoryEvents = MetricsV2.MemoryEvents(stats.memoryEvents)
        var io = MetricsV2.IO()
        io.usage = stats.devices.map {
            MetricsV2.IO.Entry([
                "major": $0.major, "minor": $0.minor, "rbytes": $0.readBytes, "wbytes": $0.writtenBytes,
                "rios": $0.reads, "wios": $0.writes,
            ])
        }
        metrics.io = io
        return metrics
    }

    /// What cgroup v1 writes for no limit: the largest number of whole pages.
    private static let unlimited: UInt64 = 0x7FFF_FFFF_FFFF_F000

    private static func version1(_ stats: ContainerStats) -> MetricsV1 {
        var metrics = MetricsV1()
        metrics.pids = PidsStat(current: stats.processes, limit: stats.processLimit ?? 0)
        var cpu = MetricsV1.CPU()
        func nanoseconds(_ name: String) -> UInt64 {
            (stats.cpu[name] ?? 0).multipliedReportingOverflow(by: 1000).partialValue
        }
        cpu.usage = MetricsV1.CPU.Usage([
            "total": nanoseconds("usage_usec"), "kernel": nanoseconds("system_usec"), "user": nanoseconds("user_usec"),
        ])
        cpu.throttling = MetricsV1.CPU.Throttling([
            "periods": stats.cpu["nr_periods"] ?? 0, "throttled_periods": stats.cpu["nr_throttled"] ?? 0,
            "throttled_time": nanoseconds("throttled_usec"),
        ])
        metrics.cpu = cpu
        metrics.memory = memory1(stats)
        metrics.oom = MetricsV1.OOMControl(["oom_kill": stats.memoryEvents["oom_kill"] ?? 0])
        var io = MetricsV1.BlockIO()
        for device in stats.devices {
            io.bytes += entries(device, read: device.readBytes, write: device.writtenBytes)
            io.operations += entries(device, read: device.reads, write: device.writes)
        }
        metrics.blockIO = io
        return metrics
    }

    private static func memory1(_ stats: ContainerStats) -> MetricsV1.Memory {
        var memory = MetricsV1.Memory()
        let names = [
            "cache": "file", "rss": "anon", "rss_huge": "anon_thp", "mapped_file": "file_mapped",
            "dirty": "file_dirty", "writeback": "file_writeback", "pgfault": "pgfault", "pgmajfault": "pgmajfault",
            "inactive_anon": "inactive_anon", "active_anon": "active_anon", "inactive_file": "inactive_file",
            "active_file": "active_file", "unevictable": "unevictable",
        ]
        for (old, new) in names {
            memory[old] = stats.memory[new] ?? 0
            memory["total_" + old] = memory[old]
        }
        let limit = stats.memoryLimitInBytes ?? unlimited
        memory["hierarchical_memory_limit"] = limit
        // v1 counts memory and swap together.
        let both = stats.swapLimitInBytes.map { min(limit.addingReportingOverflow($0).partialValue, unlimited) }
        memory["hierarchical_memsw_limit"] = stats.memoryLimitInBytes == nil ? unlimited : both ?? unlimited
        memory.usage = MetricsV1.Memory.Entry([
            "limit": limit, "usage": stats.memoryInBytes, "failcnt": stats.memoryEvents["max"] ?? 0,
        ])
        memory.swap = MetricsV1.Memory.Entry([
            "limit": memory["hierarchical_memsw_limit"],
            "usage": stats.memoryInBytes.addingReportingOverflow(stats.swapInBytes).partialValue,
        ])
        // CRI-O takes it for granted that these are there.
        memory.kernel = MetricsV1.Memory.Entry(["limit": unlimited, "usage": stats.memory["kernel"] ?? 0])
        memory.kernelTCP = MetricsV1.Memory.Entry(["limit": unlimited, "usage": stats.memory["sock"] ?? 0])
        return memory
    }

    private static func entries(
        _ device: ContainerStats.Device, read: UInt64, write: UInt64
    ) -> [MetricsV1.BlockIO.Entry] {
        [("Read", read), ("Write", write)].map { operation, value in
            var entry = MetricsV1.BlockIO.Entry()
            entry.operation = operation
            entry.major = device.major
            entry.minor = device.minor
            entry.value = value
            return entry
        }
    }
}

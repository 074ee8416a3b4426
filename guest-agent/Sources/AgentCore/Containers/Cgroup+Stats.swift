import AgentAPI
import System

extension Cgroup {
    /// What the kernel has counted. Files it does not have leave zeros and empty maps.
    func stats() -> ContainerStats {
        var stats = ContainerStats()
        stats.atInNanoseconds = UInt64(clamping: Clock.realtime.nanoseconds)
        stats.cpu = counters("cpu.stat")
        // The parts before the whole: what is charged in between may make the working set (the whole less its inactive
        // files) too large, never next to nothing.
        stats.memory = counters("memory.stat")
        stats.memoryInBytes = number("memory.current") ?? 0
        stats.memoryLimitInBytes = number("memory.max")
        stats.swapInBytes = number("memory.swap.current") ?? 0
        stats.swapLimitInBytes = number("memory.swap.max")
        stats.memoryEvents = counters("memory.events")
        stats.processes = number("pids.current") ?? 0
        stats.processLimit = number("pids.max")
        stats.devices = Self.devices(read("io.stat") ?? "")
        return stats
    }

    /// Nil for `max`.
    private func number(_ file: String) -> UInt64? { read(file).flatMap { UInt64($0) } }

    /// Lines such as `254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`; one without counters has only the device.
    static func devices(_ text: String) -> [ContainerStats.Device] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            let number = (words.first ?? "").split(separator: ":")
            guard number.count == 2, let major = UInt64(number[0]), let minor = UInt64(number[1]) else { return nil }
            var device = ContainerStats.Device()
            (device.major, device.minor) = (major, minor)
            for word in words.dropFirst() {
                let pair = word.split(separator: "=")
                guard pair.count == 2, let value = UInt64(pair[1]) else { continue }
                switch pair[0] {
                case "rbytes": device.readBytes = value
                case "wbytes": device.writtenBytes = value
                case "rios": device.reads = value
                case "wios": device.writes = value
                default: break
                }
            }
            return device
        }
    }
}

import AgentAPI
import TTRPC

/// The runtime specification's limits as files of a cgroup v2
/// (<https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#control-groups>).
enum CgroupLimits {
    /// Files and their content, in the order to write them. Zero, like nothing, leaves a limit as it is.
    /// - Parameter now: a file's content at the moment, for an update that names only one of two values of a file.
    static func files(_ resources: Resources, now: (String) -> String? = { _ in nil }) throws(RPCError)
        -> [(String, String)]
    {
        var files: [(String, String)] = []
        if let limit = given(resources.memoryLimitInBytes) { files.append(("memory.max", bytes(limit))) }
        if let swap = try swapLimit(resources, now) { files.append(("memory.swap.max", swap)) }
        if let reservation = given(resources.memoryReservationInBytes) {
            files.append(("memory.low", bytes(reservation)))
        }
        if let shares = resources.cpuShares, shares > 0 { files.append(("cpu.weight", "\(weight(shares: shares))")) }
        if let value = cpuMax(resources, now) { files.append(("cpu.max", value)) }
        if !resources.cpus.isEmpty { files.append(("cpuset.cpus", resources.cpus)) }
        if !resources.memoryNodes.isEmpty { files.append(("cpuset.mems", resources.memoryNodes)) }
        if let limit = given(resources.pidsLimit) { files.append(("pids.max", bytes(limit))) }
        for (file, value) in resources.unified.sorted(by: { $0.key < $1.key }) {
            guard !file.isEmpty, !file.contains("/"), !file.hasPrefix(".") else {
                throw RPCError(.invalidArgument, "\"\(file)\" cannot be a file of a control group")
            }
            files.append((file, value))
        }
        return files
    }

    private static func given(_ value: Int64?) -> Int64? { value == 0 ? nil : value }

    private static func bytes(_ value: Int64) -> String { value < 0 ? "max" : "\(value)" }

    /// The specification limits memory and swap together; cgroup v2 limits swap alone.
    private static func swapLimit(_ resources: Resources, _ now: (String) -> String?) throws(RPCError) -> String? {
        guard let both = given(resources.memorySwapInBytes) else { return nil }
        if both < 0 { return "max" }
        let limit = given(resources.memoryLimitInBytes) ?? now("memory.max").flatMap { Int64($0) }
        guard let memory = limit, memory >= 0 else {
            throw RPCError(.invalidArgument, "a limit of memory and swap together needs a limit of memory")
        }
        guard both >= memory else {
            throw RPCError(
                .invalidArgument, "the limit of memory and swap together (\(both)) is below that of memory (\(memory))")
        }
        return "\(both - memory)"
    }

    /// cgroup v1's shares, 2 to 262144, onto cgroup v2's weights, 1 to 10000, linearly.
    static func weight(shares: UInt64) -> UInt64 {
        let clamped = min(max(shares, 2), 262_144)
        return 1 + (clamped - 2) * 9999 / 262_142
    }

    private static func cpuMax(_ resources: Resources, _ now: (String) -> String?) -> String? {
        let quota = given(resources.cpuQuotaInMicroseconds)
        let period = resources.cpuPeriodInMicroseconds.flatMap { $0 > 0 ? $0 : nil }
        if quota == nil && period == nil { return nil }
        let old = now("cpu.max")?.split(separator: " ").map(String.init) ?? []
        let newQuota = quota.map { $0 > 0 ? "\($0)" : "max" } ?? old.first ?? "max"
        let newPeriod = period.map { "\($0)" } ?? (old.count == 2 ? old[1] : "100000")
        return "\(newQuota) \(newPeriod)"
    }
}

import Glibc

/// The kernel's clocks.
public enum Clock {
    /// Time since boot, not counting suspension (`CLOCK_MONOTONIC`).
    public static var monotonic: Duration { read(CLOCK_MONOTONIC) }
    /// Time since the Unix epoch (`CLOCK_REALTIME`).
    public static var realtime: Duration { read(CLOCK_REALTIME) }

    private static func read(_ clock: clockid_t) -> Duration {
        var value = timespec()
        clock_gettime(clock, &value)
        return .seconds(value.tv_sec) + .nanoseconds(value.tv_nsec)
    }
}

extension Duration {
    /// As the kernel takes it.
    public var timespec: timespec {
        let parts = components
        return Glibc.timespec(tv_sec: Int(parts.seconds), tv_nsec: Int(parts.attoseconds / 1_000_000_000))
    }

    /// Whole nanoseconds, clamped to Int64.
    public var nanoseconds: Int64 {
        let parts = components
        let (high, overflow) = parts.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return parts.seconds < 0 ? .min : .max }
        return high.addingReportingOverflow(parts.attoseconds / 1_000_000_000).partialValue
    }

    /// Whole milliseconds.
    public var milliseconds: Int64 { nanoseconds / 1_000_000 }
}

import System

/// Where the time of a start went, in the order it happened.
public final class Timings: Sendable {
    public struct Step: Sendable {
        public let name: String
        public let duration: Duration
    }

    private let recorded = Guarded<[Step]>([])

    public init() {}

    public var steps: [Step] { recorded.withLock { $0 } }

    public func record(_ name: String, _ duration: Duration) {
        recorded.withLock { $0.append(Step(name: name, duration: duration)) }
    }

    public func measure<T>(_ name: String, _ body: () throws -> T) rethrows -> T {
        let start = Clock.monotonic
        defer { record(name, Clock.monotonic - start) }
        return try body()
    }
}

import OCISpec
import System

/// Where the time of a run went.
struct TimingsReport {
    private struct Row: Encodable {
        var step: String
        var milliseconds: Double
    }

    private(set) var steps: [(name: String, duration: Duration)] = []
    private let begin = Clock.monotonic

    mutating func measure<T>(_ name: String, _ body: () throws -> T) rethrows -> T {
        let start = Clock.monotonic
        let result = try body()
        add(name, Clock.monotonic - start)
        return result
    }

    mutating func add(_ name: String, _ duration: Duration) { steps.append((name, duration)) }

    func render(_ format: TimingsFormat) throws -> String {
        let all = steps + [("total", Clock.monotonic - begin)]
        let rows = all.map { Row(step: $0.name, milliseconds: Double($0.duration.nanoseconds / 10_000) / 100) }
        let durations = Dictionary(all.map { ($0.name, $0.duration) }, uniquingKeysWith: { first, _ in first })
        return try Listing<Row>(
            fields: [
                .init("Step") { $0.step },
                .init("Time") { durations[$0.step].map(Human.milliseconds) ?? "" },
            ], id: { $0.step }
        ).render(rows, format == .json ? .json : .table)
    }
}

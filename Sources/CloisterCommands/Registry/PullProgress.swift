import Glibc
import ImageStore
import OCISpec
import System

/// How the progress of a pull is shown.
enum ProgressStyle: String, ArgumentValue {
    case auto, bars, plain, json, none

    init(argument: String) throws(InvalidValue) {
        guard let style = ProgressStyle(rawValue: argument) else {
            throw InvalidValue("is none of auto, bars, plain, json and none")
        }
        self = style
    }
}

/// Shows a pull on standard error as it goes: a bar a layer on a terminal, else a line for each that is there; or events
/// in JSON, one a line. Safe from any thread.
final class PullProgress: Sendable {
    private struct Row {
        var digest: Digest
        var size: Int64
        var fetched: Int64 = 0
        /// Of what this pull fetched itself, for the rate.
        var since: (time: Duration, bytes: Int64)?
        var state: String
        var isDone = false
    }

    private struct State {
        var rows: [Row] = []
        var drawnLines = 0
        var lastDrawn = Duration.zero
        var ended = false
    }

    private let style: ProgressStyle
    private let state = Guarded(State())
    private static let redraw = Duration.milliseconds(100)

    init(_ style: ProgressStyle) {
        self.style = style == .auto ? (isatty(STDERR_FILENO) != 0 ? .bars : .plain) : style
    }

    func take(_ event: PullEvent) {
        switch event {
        case .resolved(let digest, let layers):
            var seen: Set<Digest> = []
            let rows = layers.filter { seen.insert($0.digest).inserted }.map {
                Row(digest: $0.digest, size: $0.size, state: "waiting")
            }
            state.withLock { $0.rows = rows }
            if style == .json { emit(Event(event: "resolved", digest: digest.description, layers: rows.count)) }
        case .layer(let digest, let progress):
            state.withLock { state in
                guard let index = state.rows.firstIndex(where: { $0.digest == digest }) else { return }
                let before = state.rows[index]
                Self.apply(progress, to: &state.rows[index])
                report(before, state.rows[index], progress)
                if style == .bars { draw(&state, force: state.rows[index].isDone) }
            }
        }
    }

    /// A line of somebody else's, above the bars.
    func note(_ text: String) {
        state.withLock { state in
            if style == .none { return }
            if state.drawnLines > 0 { Output.error("\u{1b}[\(state.drawnLines)A\u{1b}[J") }
            state.drawnLines = 0
            Output.error("cloister: \(text)\n")
            if style == .bars, !state.ended { draw(&state, force: true) }
        }
    }

    /// Leaves the last picture as it is.
    func end() {
        state.withLock { state in
            if style == .bars, !state.rows.isEmpty { draw(&state, force: true) }
            state.ended = true
        }
    }

    private static func apply(_ progress: PullEvent.LayerProgress, to row: inout Row) {
        switch progress {
        case .present: (row.state, row.isDone, row.fetched) = ("is here", true, row.size)
        case .waiting: row.state = "another cloister fetches it"
        case .fetched(let bytes):
            if row.since == nil { row.since = (Clock.monotonic, bytes) }
            (row.state, row.fetched) = ("", bytes)
        case .done: (row.state, row.isDone, row.fetched) = ("done", true, row.size)
        }
    }

    private func report(_ before: Row, _ row: Row, _ progress: PullEvent.LayerProgress) {
        switch style {
        case .plain where row.isDone && !before.isDone:
            Output.error("\(row.digest.short): \(row.state) (\(Human.size(row.size)))\n")
        case .plain where progress == .waiting: Output.error("\(row.digest.short): \(row.state)\n")
        case .json:
            // Not for every packet.
            guard
                row.isDone != before.isDone || row.state != before.state
                    || row.fetched * 20 / max(row.size, 1) != before.fetched * 20 / max(row.size, 1)
            else { return }
            let name =
                switch progress {
                case .present: "present"
                case .waiting: "waiting"
                case .fetched: "fetched"
                case .done: "done"
                }
            emit(Event(event: name, digest: row.digest.description, bytes: row.fetched, size: row.size))
        default: break
        }
    }

    private struct Event: Encodable {
        var event: String
        var digest: String
        var layers: Int?
        var bytes: Int64?
        var size: Int64?
    }

    private func emit(_ event: Event) {
        guard let bytes = try? OCIJSON.encode(event) else { return }
        Output.error(String(decoding: bytes, as: UTF8.self) + "\n")
    }

    private func draw(_ state: inout State, force: Bool) {
        let now = Clock.monotonic
        guard force || now - state.lastDrawn >= Self.redraw, !state.ended else { return }
        state.lastDrawn = now
        var window = winsize()
        let known = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &window) == 0
        let (width, height) = (
            known && window.ws_col > 0 ? Int(window.ws_col) : 80, known && window.ws_row > 2 ? Int(window.ws_row) : 24
        )
        // More layers than lines: those that are done are counted.
        var rows = state.rows
        var hidden = 0
        while rows.count > height - 2, let done = rows.firstIndex(where: \.isDone) {
            rows.remove(at: done)
            hidden += 1
        }
        var lines = rows.prefix(height - 2).map { Self.line($0, now, width: width) }
        if hidden > 0 { lines.insert("\(hidden) layers are here", at: 0) }
        var text = state.drawnLines > 0 ? "\u{1b}[\(state.drawnLines)A" : ""
        for line in lines { text += "\r\u{1b}[2K\(line)\n" }
        text += "\u{1b}[J"
        state.drawnLines = lines.count
        Output.error(text)
    }

    /// e.g. `0123456789ab  [#####-----]  12.3 MiB of 24.6 MiB, 5.1 MiB/s, 3 s left`.
    private static func line(_ row: Row, _ now: Duration, width: Int) -> String {
        var text = "\(row.digest.short)  "
        let amount = "\(Human.size(row.fetched)) of \(Human.size(row.size))"
        if row.isDone || !row.state.isEmpty {
            return String((text + "\(row.state), \(Human.size(row.size))").prefix(width - 1))
        }
        let cells = 20
        let full = row.size > 0 ? Int(Int64(cells) * min(row.fetched, row.size) / row.size) : cells
        text += "[" + String(repeating: "#", count: full) + String(repeating: "-", count: cells - full) + "]  " + amount
        if let since = row.since {
            let milliseconds = (now - since.time).milliseconds
            let rate = milliseconds > 200 ? (row.fetched - since.bytes) * 1000 / milliseconds : 0
            if rate > 0 { text += ", \(Human.size(rate))/s, \((row.size - row.fetched) / rate + 1) s left" }
        }
        return String(text.prefix(width - 1))
    }
}

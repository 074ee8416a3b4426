/// A number of bytes, as Docker writes it: `512`, `64k`, `64m`, `1g`, `1.5g`; a `b` or `iB` after the letter changes
/// nothing.
public struct ByteSize: Equatable, Sendable {
    public let bytes: UInt64

    public init(bytes: UInt64) { self.bytes = bytes }

    /// nil for what is not a size, or is beyond `Int64.max`.
    public init?(_ text: String) {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        var unit = text.dropFirst(digits.count).lowercased()
        for suffix in ["ib", "b"] where unit.hasSuffix(suffix) {
            unit.removeLast(suffix.count)
            break
        }
        let shifts: [String: UInt64] = ["": 0, "k": 10, "m": 20, "g": 30, "t": 40]
        guard let shift = shifts[unit], let number = Double(digits), number.isFinite, number >= 0 else { return nil }
        let value = number * Double(UInt64(1) << shift)
        guard value < Double(Int64.max) else { return nil }
        bytes = UInt64(value)
    }
}

/// A length of time: `30` is seconds; `90s`, `1m30s`, `1h`, `500ms`.
public struct TimeSpan: Equatable, Sendable {
    /// At least a millisecond.
    public let duration: Duration

    public init(_ duration: Duration) { self.duration = duration }

    /// nil for what is not a length of time, for none at all, and for more than three centuries.
    public init?(_ text: String) {
        let milliseconds: [Substring: Double] = ["ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000]
        var rest = text[...]
        var total = 0.0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            let alone = unit.isEmpty && digits.count == text.count
            guard let number = Double(digits), let scale = milliseconds[alone ? "s" : unit] else { return nil }
            total += number * scale
        }
        guard total > 0, total < 1e13 else { return nil }
        duration = .milliseconds(Int64(total.rounded(.up)))
    }
}

extension Duration {
    /// `5s`, `1m30s`, `1.5s`: as a person would write it, to the millisecond.
    public var spelled: String {
        let parts = components
        let milliseconds = parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
        if milliseconds < 1000 { return "\(milliseconds)ms" }
        let (hours, minutes, seconds) = (milliseconds / 3_600_000, milliseconds / 60_000 % 60, milliseconds / 1000 % 60)
        var text = ""
        if hours > 0 { text += "\(hours)h" }
        if minutes > 0 { text += "\(minutes)m" }
        let rest = milliseconds % 1000
        if rest > 0 {
            var fraction = String(rest + 1000).dropFirst()
            while fraction.last == "0" { fraction.removeLast() }
            text += "\(seconds).\(fraction)s"
        } else if seconds > 0 || text.isEmpty {
            text += "\(seconds)s"
        }
        return text
    }
}

/// What carries a virtual machine.
public enum Accelerator: String, CaseIterable, Sendable { case auto, kvm, emulation }

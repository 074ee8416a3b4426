/// One entry of an archive as a test wants it, well-formed or not.
struct Item {
    var name: String
    var type: Character = "0"
    var mode = 0o644
    var owner = 0
    var group = 0
    var link = ""
    var content: [UInt8] = []
    var modified = 1_000_000_000
    var device = (major: 0, minor: 0)
    /// Extended header records before the entry.
    var records: [(String, [UInt8])] = []
    /// The size field's twelve bytes, where they are not to tell the truth.
    var sizeField: [UInt8]?

    static func file(_ name: String, _ content: String = "", mode: Int = 0o644) -> Item {
        Item(name: name, mode: mode, content: Array(content.utf8))
    }
    static func directory(_ name: String, mode: Int = 0o755) -> Item { Item(name: name, type: "5", mode: mode) }
    static func symbolicLink(_ name: String, _ target: String) -> Item {
        Item(name: name, type: "2", mode: 0o777, link: target)
    }
    static func hardLink(_ name: String, _ target: String) -> Item { Item(name: name, type: "1", link: target) }
    static func node(_ name: String, _ type: Character, _ major: Int, _ minor: Int, mode: Int = 0o600) -> Item {
        Item(name: name, type: type, mode: mode, device: (major, minor))
    }

    func with(_ records: (String, String)...) -> Item {
        var item = self
        item.records += records.map { ($0.0, Array($0.1.utf8)) }
        return item
    }
    func with(_ key: String, _ value: [UInt8]) -> Item {
        var item = self
        item.records.append((key, value))
        return item
    }
    func owned(_ owner: Int, _ group: Int) -> Item {
        var item = self
        (item.owner, item.group) = (owner, group)
        return item
    }
    func size(_ field: [UInt8]) -> Item {
        var item = self
        item.sizeField = field
        return item
    }

    var bytes: [UInt8] {
        var result: [UInt8] = []
        if !records.isEmpty {
            let body = records.flatMap { Self.record($0.0, $0.1) }
            result += Self.header("PaxHeaders/x", type: "x", size: Self.octal(body.count, 12)) + Self.padded(body)
        }
        result += Self.header(
            name, type: type, mode: mode, owner: owner, group: group, size: sizeField ?? Self.octal(content.count, 12),
            link: link, modified: modified, device: device)
        return result + Self.padded(content)
    }

    private static func record(_ key: String, _ value: [UInt8]) -> [UInt8] {
        let tail = Array(" \(key)=".utf8) + value + [10]
        var length = tail.count
        while String(length).utf8.count + tail.count != length { length = String(length).utf8.count + tail.count }
        return Array(String(length).utf8) + tail
    }

    static func octal(_ number: Int, _ width: Int) -> [UInt8] {
        let digits = Array(String(number, radix: 8).utf8)
        if digits.count < width { return [UInt8](repeating: 48, count: width - 1 - digits.count) + digits + [0] }
        return base256(number, width)
    }

    static func base256(_ number: Int, _ width: Int) -> [UInt8] {
        var field = [UInt8](repeating: number < 0 ? 0xff : 0, count: width)
        for index in 0..<min(8, width) { field[width - 1 - index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
        field[0] = number < 0 ? 0xff : field[0] | 0x80
        return field
    }

    static func padded(_ body: [UInt8]) -> [UInt8] {
        body + [UInt8](repeating: 0, count: (512 - body.count % 512) % 512)
    }

    static func header(
        _ name: String, type: Character, mode: Int = 0o644, owner: Int = 0, group: Int = 0, size: [UInt8],
        link: String = "",
        modified: Int = 0, device: (major: Int, minor: Int) = (0, 0)
    ) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ bytes: [UInt8], at offset: Int) {
            header.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
        }
        put(Array(name.utf8.prefix(100)), at: 0)
        put(octal(mode, 8), at: 100)
        put(octal(owner, 8), at: 108)
        put(octal(group, 8), at: 116)
        put(size, at: 124)
        put(octal(modified, 12), at: 136)
        put([UInt8](repeating: 32, count: 8), at: 148)
        put([type.asciiValue ?? 48], at: 156)
        put(Array(link.utf8.prefix(100)), at: 157)
        put(Array("ustar\u{0}00".utf8), at: 257)
        put(octal(device.major, 8), at: 329)
        put(octal(device.minor, 8), at: 337)
        put(octal(header.reduce(0) { $0 + Int($1) }, 7), at: 148)
        return header
    }
}

/// A whole archive, with the two blocks of zeros at its end.
func tar(_ items: [Item]) -> [UInt8] { items.flatMap(\.bytes) + [UInt8](repeating: 0, count: 1024) }

/// A zstd frame (RFC 8878, 3.1.1) of one raw block, which asks its reader to keep the last 2^`windowLog` bytes.
func zstd(_ content: [UInt8], windowLog: Int) -> [UInt8] {
    let block = content.count << 3 | 1
    return [0x28, 0xB5, 0x2F, 0xFD, 0, UInt8(windowLog - 10) << 3] + (0..<3).map { UInt8(block >> (8 * $0) & 0xFF) }
        + content
}

/// Where an entry goes, as the archive names it, made relative to the layer's root: bytes, in no encoding.
///
/// Absolute names are taken as relative, `.` and empty components dropped, `a/../b` shortened, as container engines do;
/// a name that climbs above the root is refused.
struct EntryPath {
    /// Directory and name, each ending in NUL for system calls. The root has neither; its children have no directory.
    let parent: [CChar]
    let name: [CChar]

    var isRoot: Bool { name.count == 1 }

    /// - Returns: nil when the path climbs above the root.
    init?(_ raw: UnsafePointer<CChar>) {
        let slash = CChar(bitPattern: UInt8(ascii: "/"))
        let dot = CChar(bitPattern: UInt8(ascii: "."))
        var path: [CChar] = []
        /// Where in `path` each component begins, its slash included.
        var starts: [Int] = []
        var cursor = raw
        while cursor.pointee != 0 {
            if cursor.pointee == slash {
                cursor += 1
                continue
            }
            let start = cursor
            while cursor.pointee != 0 && cursor.pointee != slash { cursor += 1 }
            let component = UnsafeBufferPointer(start: start, count: cursor - start)
            if component.count == 1 && component[0] == dot { continue }
            if component.count == 2 && component[0] == dot && component[1] == dot {
                guard let last = starts.popLast() else { return nil }
                path.removeSubrange(last...)
                continue
            }
            starts.append(path.count)
            if !path.isEmpty { path.append(slash) }
            path.append(contentsOf: component)
        }
        let last = starts.last ?? 0
        parent = path[..<last] + [0]
        name = path[(last == 0 ? 0 : last + 1)...] + [0]
    }

    /// The path, for messages.
    var description: String {
        let name = name.dropLast().lazy.map { UInt8(bitPattern: $0) }
        if parent.count == 1 { return printable(isRoot ? Array("/".utf8) : Array(name)) }
        return printable(parent.dropLast().map { UInt8(bitPattern: $0) } + [UInt8(ascii: "/")] + name)
    }

    /// Parent and name as one path ending in NUL; the root is ".".
    var whole: [CChar] {
        if isRoot { return [CChar(bitPattern: UInt8(ascii: ".")), 0] }
        if parent.count == 1 { return name }
        return parent.dropLast() + [CChar(bitPattern: UInt8(ascii: "/"))] + name
    }
}

/// What an entry's name makes of it: image-spec layer.md, "Representing Changes".
enum EntryRole {
    case content
    /// The named sibling is deleted from the layers below.
    case whiteout(name: [CChar])
    /// What the layers below have in the entry's directory is hidden.
    case opaque
    /// Left behind by aufs, which reserved the names that begin with `.wh..wh.`.
    case ignored
    /// Below a directory whose name is a whiteout's, or a whiteout of nothing.
    case invalid

    init(_ path: EntryPath) {
        let prefix = Self.characters(".wh.")
        let reserved = Self.characters(".wh..wh.")
        // Nearly every path: cheap to see.
        if !path.name.starts(with: prefix) && !Self.mayContainPrefix(path.parent) {
            self = .content
            return
        }
        for component in path.parent.dropLast().split(separator: CChar(bitPattern: UInt8(ascii: "/")))
        where component.starts(with: prefix) {
            self = component.starts(with: reserved) ? .ignored : .invalid
            return
        }
        if !path.name.starts(with: prefix) {
            self = .content
        } else if path.name.starts(with: reserved) {
            self = path.name.dropLast().elementsEqual(Self.characters(".wh..wh..opq")) ? .opaque : .ignored
        } else {
            let name = Array(path.name[prefix.count...])
            let isNothing = name.dropLast().allSatisfy { $0 == CChar(bitPattern: UInt8(ascii: ".")) } && name.count <= 3
            self = isNothing ? .invalid : .whiteout(name: name)
        }
    }

    private static func characters(_ text: StaticString) -> [CChar] {
        text.withUTF8Buffer { $0.map { CChar(bitPattern: $0) } }
    }

    /// Whether `.wh` is anywhere in the path.
    private static func mayContainPrefix(_ path: [CChar]) -> Bool {
        guard path.count > 3 else { return false }
        let pattern: [CChar] = characters(".wh")
        return (0..<(path.count - 3)).contains {
            path[$0] == pattern[0] && path[$0 + 1] == pattern[1] && path[$0 + 2] == pattern[2]
        }
    }
}

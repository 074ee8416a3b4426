import System

/// A cgroup hierarchy of the host that is mounted: one of version 1 for each set of controllers, or the one of version 2
/// (cgroups(7)); a host may have both.
public struct CgroupHierarchy: Equatable, Sendable {
    public var mountPoint: String
    public var isUnified: Bool
    /// Of version 1: names of controllers, or `name=…`.
    public var controllers: Set<String>

    /// Those of this process's mount namespace.
    public static func mounted() throws(SystemError) -> [CgroupHierarchy] {
        mounted(mountInfo: try Files.readText("/proc/self/mountinfo"))
    }

    /// - Parameter mountInfo: as in proc(5). Of a hierarchy that is mounted more than once, the first place counts.
    static func mounted(mountInfo: String) -> [CgroupHierarchy] {
        var found: [CgroupHierarchy] = []
        for line in mountInfo.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard let separator = words.firstIndex(of: "-"), separator >= 6, words.count > separator + 1 else {
                continue
            }
            let type = words[separator + 1]
            guard type == "cgroup" || type == "cgroup2", let mountPoint = unescape(words[4]) else { continue }
            let options = words.count > separator + 3 ? words[separator + 3].split(separator: ",").map(String.init) : []
            let hierarchy = CgroupHierarchy(
                mountPoint: mountPoint, isUnified: type == "cgroup2",
                controllers: type == "cgroup2" ? [] : Set(options).subtracting(flags))
            let isKnown = found.contains {
                $0.isUnified == hierarchy.isUnified && $0.controllers == hierarchy.controllers
            }
            if !isKnown { found.append(hierarchy) }
        }
        return found
    }

    /// What the superblock's options have beside controllers.
    private static let flags: Set<String> = ["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode"]

    /// Blanks and backslashes are written as three octal digits.
    private static func unescape(_ text: Substring) -> String? {
        guard text.contains("\\") else { return String(text) }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 3, let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8) else {
                return nil
            }
            bytes.append(code)
            rest = rest.dropFirst(3)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

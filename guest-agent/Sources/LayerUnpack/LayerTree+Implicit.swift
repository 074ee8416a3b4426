import CLayerUnpack
import Glibc

/// Directories that a layer has only because something lies in them. An archive that holds `a/b` and does not name `a`
/// says nothing of `a`: its owner, mode and times are those of the layer below. The kernel's overlay takes them from the
/// uppermost layer that has the directory, so such directories are marked, and whoever knows the layers below gives them
/// what those say (`ImplicitDirectory.mark`): when the layer is unpacked, or when an overlay is built of it.
public enum ImplicitDirectory {
    /// An extended attribute: `implied` on such a directory, `completed` once it has what the layers say that were below
    /// when it was unpacked; `holds` on directories that the layer does name, from its root down to such a one, so that
    /// they are found without a search. Below `trusted.overlay.`, which no archive can set and the overlay does not show.
    public static let mark = "trusted.overlay.cloister.implicit"
    public static let implied = UInt8(ascii: "i")
    public static let completed = UInt8(ascii: "c")
    public static let holds = UInt8(ascii: "h")
    /// Of a directory that no layer names.
    public static let mode: mode_t = 0o755
}

extension LayerTree {
    /// Notes a directory that was made for what lies in it. The archive may still name it.
    func noteImplicit(_ name: [CChar], in directory: Int32, place: [[CChar]], _ path: EntryPath)
        throws(LayerUnpackError)
    {
        var info = stat()
        try check("fstatat", path) { fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) }
        implicit[info.st_ino] = place
    }

    /// Marks those that no entry has named.
    func markImplicit() throws(LayerUnpackError) {
        var marked: Set<[[CChar]]> = []
        for (inode, place) in implicit where try mark(place, ImplicitDirectory.implied, inode: inode) {
            marked.insert(place)
        }
        impliedDirectories = UInt64(marked.count)
        for place in marked {
            for count in (0..<place.count).reversed() {
                let above = Array(place[..<count])
                guard marked.insert(above).inserted else { break }
                try mark(above, ImplicitDirectory.holds, inode: nil)
            }
        }
        implicit = [:]
    }

    /// - Returns: false when the directory has made way for another.
    @discardableResult
    private func mark(_ place: [[CChar]], _ value: UInt8, inode: ino_t?) throws(LayerUnpackError) -> Bool {
        let name =
            (place.isEmpty ? [[CChar(bitPattern: UInt8(ascii: "."))]] : place)
            .joined(separator: [CChar(bitPattern: UInt8(ascii: "/"))]) + [0]
        let fd = lu_open_readable_in_root(root, name)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        var info = stat()
        guard fstat(fd, &info) == 0, inode == nil || info.st_ino == inode, let path = EntryPath(name) else {
            return false
        }
        try set(ExtendedAttribute(name: ImplicitDirectory.mark, value: [value]), at: "/proc/self/fd/\(fd)", path)
        return true
    }
}

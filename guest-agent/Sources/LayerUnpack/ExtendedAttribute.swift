import CLayerUnpack

/// An extended attribute of an entry.
struct ExtendedAttribute {
    static let accessList = "system.posix_acl_access"
    static let defaultList = "system.posix_acl_default"

    let name: String
    let value: [UInt8]

    /// A command to overlayfs (opaque, redirect, metacopy, origin…), which is not the image's to give.
    var isOverlay: Bool { name.utf8.starts(with: "trusted.overlay.".utf8) }
    /// Inherited by what is made in the directory afterwards, so it is set at the end.
    var isDefaultList: Bool { name.utf8.elementsEqual(Self.defaultList.utf8) }
}

/// One line of a POSIX access control list in the kernel's terms: linux/posix_acl_xattr.h.
struct AccessListEntry {
    private let tag: UInt16
    private let permissions: UInt16
    private let id: UInt32

    /// - Returns: nil for a user or group known by name only: names mean nothing outside the image, so nothing is
    /// granted.
    init?(archiveTag: Int32, permissions: Int32, id: Int32) {
        switch archiveTag {
        case ARCHIVE_ENTRY_ACL_USER_OBJ: tag = 0x01
        case ARCHIVE_ENTRY_ACL_USER: tag = 0x02
        case ARCHIVE_ENTRY_ACL_GROUP_OBJ: tag = 0x04
        case ARCHIVE_ENTRY_ACL_GROUP: tag = 0x08
        case ARCHIVE_ENTRY_ACL_MASK: tag = 0x10
        case ARCHIVE_ENTRY_ACL_OTHER: tag = 0x20
        default: return nil
        }
        let isNamed = tag == 0x02 || tag == 0x08
        if isNamed && id < 0 { return nil }
        self.permissions = UInt16(permissions & 7)
        self.id = isNamed ? UInt32(bitPattern: id) : .max
    }

    /// The kernel wants the tags in ascending order; all numbers little-endian.
    static func encode(_ list: [AccessListEntry]) -> [UInt8] {
        var bytes: [UInt8] = [2, 0, 0, 0]
        for item in list.sorted(by: { ($0.tag, $0.id) < ($1.tag, $1.id) }) {
            for number in [item.tag, item.permissions, UInt16(truncatingIfNeeded: item.id), UInt16(item.id >> 16)] {
                bytes += [UInt8(truncatingIfNeeded: number), UInt8(number >> 8)]
            }
        }
        return bytes
    }
}

import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// Whom a process runs as.
struct UserIdentity: Equatable {
    var uid: UInt32
    var gid: UInt32
    var groups: [UInt32]
    /// From the password file; `/` for a user it does not know.
    var home: String
}

/// Finds a user in a container's own `/etc/passwd` and `/etc/group` (passwd(5), group(5)). They are taken apart as bytes: as
/// text, those of Debian took a million instructions of each start.
struct UserLookup {
    private typealias Bytes = ArraySlice<UInt8>

    private struct Account {
        var name: Bytes
        var uid: UInt32
        var gid: UInt32
        var home: Bytes

        static let unknown = Account(name: [], uid: 0, gid: 0, home: [UInt8(ascii: "/")])
    }

    private struct Group {
        var name: Bytes
        var gid: UInt32
        var members: [Bytes]
    }

    private static let largestFileInBytes = 8 << 20
    private let accounts: [Account]
    private let groups: [Group]

    init(root: ContainerRoot) throws(SystemError) {
        self.init(passwd: try Self.read("/etc/passwd", root), group: try Self.read("/etc/group", root))
    }

    init(passwd: [UInt8], group: [UInt8]) {
        accounts = Self.lines(passwd).compactMap { fields in
            guard fields.count >= 6, let uid = Self.number(fields[2]), let gid = Self.number(fields[3]) else {
                return nil
            }
            return Account(name: fields[0], uid: uid, gid: gid, home: fields[5])
        }
        groups = Self.lines(group).compactMap { fields in
            guard fields.count >= 3, let gid = Self.number(fields[2]) else { return nil }
            let members = fields.count > 3 ? fields[3].split(separator: UInt8(ascii: ",")) : []
            return Group(name: fields[0], gid: gid, members: members)
        }
    }

    /// - Parameter process: `user` as an image has it (`user[:group]`, names or numbers), or numbers.
    /// - Throws: `RPCError` `notFound` for a name that is in neither file.
    func identity(_ process: ProcessSpec) throws(RPCError) -> UserIdentity {
        if process.user.isEmpty {
            let home = (accounts.first { $0.uid == process.uid } ?? .unknown).home
            return UserIdentity(
                uid: process.uid, gid: process.gid, groups: process.additionalGids,
                home: String(decoding: home, as: UTF8.self))
        }
        let parts = process.user.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let account = try account(parts[0])
        var identity = UserIdentity(
            uid: account.uid, gid: account.gid, groups: [], home: String(decoding: account.home, as: UTF8.self))
        if parts.count == 2, !parts[1].isEmpty {
            // A group that is named takes the place of those the user is in.
            identity.gid = try gid(parts[1])
        } else if !account.name.isEmpty {
            identity.groups = groups.filter { $0.members.contains(account.name) }.map(\.gid)
        }
        for gid in process.additionalGids where !identity.groups.contains(gid) { identity.groups.append(gid) }
        return identity
    }

    private func account(_ user: Substring) throws(RPCError) -> Account {
        // A name of digits alone is a name first, as in docker.
        if let known = accounts.first(where: { $0.name.elementsEqual(user.utf8) }) { return known }
        if user.isEmpty { return accounts.first { $0.uid == 0 } ?? .unknown }
        guard let uid = UInt32(user), uid <= UInt32(Int32.max) else {
            throw RPCError(.failedPrecondition, "unable to find user \(user): no matching entries in passwd file")
        }
        var unknown = Account.unknown
        unknown.uid = uid
        return accounts.first { $0.uid == uid } ?? unknown
    }

    private func gid(_ group: Substring) throws(RPCError) -> UInt32 {
        if let known = groups.first(where: { $0.name.elementsEqual(group.utf8) }) { return known.gid }
        guard let gid = UInt32(group), gid <= UInt32(Int32.max) else {
            throw RPCError(.failedPrecondition, "unable to find group \(group): no matching entries in group file")
        }
        return gid
    }

    private static func number(_ field: Bytes) -> UInt32? { UInt32(String(decoding: field, as: UTF8.self)) }

    private static func lines(_ file: [UInt8]) -> [[Bytes]] {
        file.split(separator: UInt8(ascii: "\n")).filter { $0.first != UInt8(ascii: "#") }
            .map { $0.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false) }
    }

    /// A file that is missing or is not a file says nothing.
    private static func read(_ path: String, _ root: ContainerRoot) throws(SystemError) -> [UInt8] {
        // Non-blocking: the image may have put a pipe there.
        guard let file = try? root.open(path, O_RDONLY | O_NONBLOCK) else { return [] }
        var info = stat()
        guard fstat(file.raw, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return [] }
        do { return try file.readToEnd(limit: largestFileInBytes) } catch {
            throw SystemError("read", path, errno: error.errno)
        }
    }
}

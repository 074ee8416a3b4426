import Glibc
import System

/// Makes empty ext4 filesystems in sparse files, by e2fsprogs.
///
/// No journal: a layer disk is never written again once it is whole, and a scratch disk does not outlive its sandbox.
/// Inode tables are declared zeroed, which a fresh sparse file is, so that no guest kernel writes gigabytes of zeros in
/// the background. Metadata checksums stay on: a guest then reports a rotten block instead of believing it. Fixed
/// identifiers, so that equal sizes give equal filesystems. 16 GiB take about 10 ms and 170 KiB of disk.
public enum Ext4Image {
    public static let blockSizeInBytes = 4096
    /// The least that mkfs makes something useful of.
    public static let smallestInBytes: Int64 = 1 << 20

    /// Creates `path`, which must not exist, with an empty filesystem.
    /// - Parameter sizeInBytes: as the guest sees it; rounded up to whole MiB. The host's disk pays for what is written.
    /// - Throws: `StorageError` when e2fsprogs is missing or fails; `SystemError`. Nothing is left behind then.
    public static func make(_ path: String, sizeInBytes: Int64, mode: mode_t = 0o644) throws {
        let mkfs = try tool("mkfs.ext4", package: "e2fsprogs")
        let size = ((max(sizeInBytes, smallestInBytes) + (1 << 20) - 1) >> 20) << 20
        let file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_EXCL, mode: mode)
        do {
            let fd = file.raw
            try syscall("ftruncate", path) { ftruncate(fd, off_t(size)) }
            // The umask may have taken what QEMU's user needs.
            try syscall("fchmod", path) { fchmod(fd, mode) }
            try run(
                mkfs,
                [
                    "-q", "-F", "-b", "\(blockSizeInBytes)", "-I", "256", "-i", "8192", "-m", "0",
                    "-O", "none,\(features)", "-U", "636c6f69-7374-6572-8000-000000000001",
                    "-E",
                    "lazy_itable_init=0,assume_storage_prezeroed=1,nodiscard,root_owner=0:0,"
                        + "hash_seed=636c6f69-7374-6572-8000-000000000002",
                    path,
                ])
        } catch {
            unlink(path)
            throw error
        }
    }

    private static let features =
        "64bit,dir_index,dir_nlink,ext_attr,extent,extra_isize,filetype,flex_bg,huge_file,large_file,metadata_csum,"
        + "sparse_super2"

    /// A program of the system's administration, which an ordinary user's PATH may not reach.
    static func tool(_ name: String, package: String) throws -> String {
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        let directories = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
        for directory in directories where access("\(directory)/\(name)", X_OK) == 0 { return "\(directory)/\(name)" }
        throw StorageError("\(name) is missing; install \(package)")
    }

    /// Looks at all metadata of a filesystem and changes nothing (`e2fsck -fn`).
    /// - Returns: what is wrong, in its words; nil when nothing is.
    /// - Throws: `StorageError` when e2fsprogs is missing or fails; `SystemError`.
    public static func check(_ path: String) throws -> String? {
        let program = try tool("e2fsck", package: "e2fsprogs")
        let (status, output) = try execute(program, ["-f", "-n", path])
        // e2fsck(8): 4 is "errors left uncorrected"; 8 is what it says of a file that is no filesystem, too.
        switch status {
        case .exited(0): return nil
        case .exited(4), .exited(8), .exited(12):
            let lines = String(decoding: output.prefix(4096), as: UTF8.self).split(separator: "\n")
            return lines.first { !$0.hasPrefix("e2fsck") && !$0.hasPrefix("Pass") }.map(String.init) ?? "it has errors"
        default: throw StorageError("\(program) failed (\(status.shellCode)) on \(path)")
        }
    }

    private static func run(_ program: String, _ arguments: [String]) throws {
        let (status, output) = try execute(program, arguments)
        guard status == .exited(0) else {
            let text = String(decoding: output.prefix(500), as: UTF8.self).split(separator: "\n").joined(
                separator: "; ")
            // What mkfs says of a full disk is strerror's text.
            if text.contains("No space left") { throw SystemError("mkfs.ext4", arguments.last ?? "", errno: ENOSPC) }
            throw StorageError("\(program) failed (\(status.shellCode)): \(text)")
        }
    }

    private static func execute(
        _ program: String, _ arguments: [String]
    ) throws -> (status: ExitStatus, output: [UInt8]) {
        let (read, write) = try makePipe()
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        // The person's own configuration of mke2fs must not change what a layer disk is.
        let child = try ChildProcess.spawn(
            program, arguments,
            environment: ["MKE2FS_CONFIG=/dev/null", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
            descriptors: [null.raw, write.raw, write.raw])
        write.close()
        let output = try read.readToEnd(limit: 1 << 20)
        return (child.wait(), output)
    }
}

/// A disk that cannot be made or trusted: one sentence for the person at the terminal.
public struct StorageError: Error, CustomStringConvertible, Equatable, Sendable {
    public let description: String
    public init(_ description: String) { self.description = description }
}

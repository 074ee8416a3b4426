import Glibc
import System

/// Files that follow one another on one read-only disk, by the means QEMU has for that: a VMDK image whose descriptor, a
/// text, names flat extents (VMware's "Virtual Disk Format 5.0", section "The Descriptor File"). Nothing is copied, and
/// the files stay what other machines share.
///
/// QEMU reads such a disk one request at a time.
enum JoinedFiles {
    /// Writes the descriptors of those disks that are of several files.
    /// - Parameter directory: an absolute path that QEMU's user can traverse; links to the files are made there, since a
    ///   descriptor takes neither long names nor every character.
    /// - Returns: the disks, with their descriptors.
    /// - Throws: `SystemError`; `EINVAL` for a file that does not end with a sector's end.
    static func describe(_ disks: [Disk], in directory: String) throws(SystemError) -> [Disk] {
        try disks.map { disk throws(SystemError) in
            var disk = disk
            if !disk.furtherPaths.isEmpty { disk.descriptor = try describe(disk, in: directory) }
            return disk
        }
    }

    private static func describe(_ disk: Disk, in directory: String) throws(SystemError) -> String {
        var files: [(name: String, sectors: UInt64)] = []
        for (index, path) in disk.paths.enumerated() {
            let sizeInBytes = try size(path)
            guard sizeInBytes > 0, sizeInBytes % Disk.sectorInBytes == 0 else {
                throw SystemError("join", "\(path), which has \(sizeInBytes) bytes", errno: EINVAL)
            }
            let name = "\(disk.serial)-\(index)"
            let link = "\(directory)/\(name)"
            try syscall("symlink", link) { symlink(path, link) }
            files.append((name, sizeInBytes / Disk.sectorInBytes))
        }
        let path = "\(directory)/\(disk.serial).vmdk"
        try Files.write(path, descriptor(files), mode: 0o644)
        return path
    }

    /// - Parameter files: names in the descriptor's directory, and sizes in sectors.
    static func descriptor(_ files: [(name: String, sectors: UInt64)]) -> String {
        let head = [
            "# Disk DescriptorFile", "version=1", "CID=00000001", "parentCID=ffffffff",
            "createType=\"twoGbMaxExtentFlat\"",
        ]
        let extents = files.map { "RW \($0.sectors) FLAT \"\($0.name)\" 0" }
        return (head + extents).joined(separator: "\n") + "\n"
    }

    private static func size(_ path: String) throws(SystemError) -> UInt64 {
        var info = stat()
        try syscall("stat", path) { stat(path, &info) }
        return UInt64(max(0, info.st_size))
    }
}

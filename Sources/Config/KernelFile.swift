import Glibc
import System

/// A guest kernel's file.
public enum KernelFile {
    /// Where QEMU enters an uncompressed kernel: the PVH note (Xen's `XEN_ELFNOTE_PHYS32_ENTRY`, type 18, name "Xen").
    private static let noteType: UInt32 = 18
    /// elf(5): PT_NOTE.
    private static let programHeaderNote: UInt64 = 4

    /// - Throws: `ConfigurationError` unless the file is a 64-bit x86 ELF kernel that can be entered by PVH.
    public static func validate(_ path: String) throws(ConfigurationError) {
        func refuse(_ why: String) -> ConfigurationError {
            ConfigurationError(
                "\(path) is not a kernel that can be booted: \(why). Give an uncompressed vmlinux with CONFIG_PVH, "
                    + "such as the one \"make build\" makes.")
        }
        let file: FileDescriptor
        do { file = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK) } catch {
            throw ConfigurationError("the kernel cannot be read: \(error); give an uncompressed vmlinux.")
        }
        var info = stat()
        guard fstat(file.raw, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { throw refuse("it is not a file") }
        /// Little-endian, at an offset in the file.
        func bytes(_ offset: UInt64, _ count: Int) -> [UInt8]? {
            guard count >= 0, count <= 1 << 20, let start = off_t(exactly: offset) else { return nil }
            var buffer = [UInt8](repeating: 0, count: count)
            return pread(file.raw, &buffer, count, start) == count ? buffer : nil
        }
        func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }

        // elf(5): Elf64_Ehdr.
        guard let header = bytes(0, 64), header[0..<4] == [0x7f, 0x45, 0x4c, 0x46] else {
            if let magic = bytes(0x202, 4), magic == Array("HdrS".utf8) { throw refuse("it is a compressed bzImage") }
            throw refuse("it is not an ELF file")
        }
        guard header[4] == 2, header[5] == 1, number(header[18..<20]) == 62 else {
            throw refuse("it is an ELF file for another machine than x86-64")
        }
        guard number(header[54..<56]) == 56,
            let programHeaders = bytes(number(header[32..<40]), Int(number(header[56..<58])) * 56)
        else { throw refuse("its program headers cannot be read") }
        for start in stride(from: 0, to: programHeaders.count, by: 56) {
            let segment = programHeaders[start..<start + 56]
            guard number(segment.prefix(4)) == programHeaderNote else { continue }
            let size = number(segment[start + 32..<start + 40])
            guard size <= 1 << 20, let notes = bytes(number(segment[start + 8..<start + 16]), Int(size)) else {
                continue
            }
            if holdsEntry(notes, number) { return }
        }
        throw refuse("it has no PVH entry point")
    }

    /// A note: name size, content size, type; then name and content, each padded to 4 bytes.
    private static func holdsEntry(_ notes: [UInt8], _ number: (ArraySlice<UInt8>) -> UInt64) -> Bool {
        var offset = 0
        while offset + 12 <= notes.count {
            let nameSize = Int(number(notes[offset..<offset + 4]))
            let contentSize = Int(number(notes[offset + 4..<offset + 8]))
            let type = number(notes[offset + 8..<offset + 12])
            let name = offset + 12
            if type == UInt64(noteType), nameSize == 4, name + 4 <= notes.count,
                notes[name..<name + 4] == [0x58, 0x65, 0x6e, 0]
            {
                return true
            }
            offset = name + (nameSize + 3) / 4 * 4 + (contentSize + 3) / 4 * 4
        }
        return false
    }
}

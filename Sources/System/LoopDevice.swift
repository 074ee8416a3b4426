import CSystem
import Glibc

/// A file as a block device (loop(4)), which lasts while this value does, and while it is mounted.
public final class LoopDevice: Sendable {
    public let path: String
    private let descriptor: FileDescriptor

    public init(_ file: String, readOnly: Bool) throws(SystemError) {
        let image = try FileDescriptor.open(file, readOnly ? O_RDONLY : O_RDWR)
        let raw = image.raw
        var name = [CChar](repeating: 0, count: 64)
        descriptor = FileDescriptor(
            try syscall("make a loop device of", file) { cs_attach_loop(raw, readOnly ? 1 : 0, &name, name.count) })
        path = String(buffer: name)
    }
}

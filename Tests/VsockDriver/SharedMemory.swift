import CVsockDriver
import Glibc
import System

/// What plays the guest's memory: a memfd, mapped here and shared with the device.
package final class SharedMemory {
    package let file: FileDescriptor
    package let sizeInBytes: Int
    package let base: UnsafeMutableRawPointer

    /// - Throws: `SystemError`.
    package init(sizeInBytes: Int) throws(SystemError) {
        self.sizeInBytes = sizeInBytes
        file = FileDescriptor(try syscall("memfd_create") { cv_memory_file() })
        let raw = file.raw
        try syscall("ftruncate") { ftruncate(raw, off_t(sizeInBytes)) }
        guard let base = mmap(nil, sizeInBytes, PROT_READ | PROT_WRITE, MAP_SHARED, raw, 0), base != MAP_FAILED else {
            throw SystemError("mmap")
        }
        self.base = base
    }

    deinit { munmap(base, sizeInBytes) }

    /// Stores an integer; an offset beyond the memory is ignored, so that fuzzed offsets need no care.
    package func store<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        guard offset >= 0, offset + MemoryLayout<T>.size <= sizeInBytes else { return }
        base.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
    }

    package func load<T: FixedWidthInteger>(_ type: T.Type, at offset: Int) -> T {
        T(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    package func store(_ bytes: [UInt8], at offset: Int) {
        bytes.withUnsafeBytes {
            if let source = $0.baseAddress { memcpy(base + offset, source, bytes.count) }
        }
    }

    package func bytes(at offset: Int, count: Int) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: base + offset, count: count))
    }
}

/// A non-blocking eventfd, owned by the caller; -1 on failure.
package func eventDescriptor() -> Int32 { cv_event() }

/// A pseudo-terminal in raw mode. - Throws: `SystemError`.
package func makeTerminal() throws(SystemError) -> (master: FileDescriptor, slave: FileDescriptor) {
    var master: Int32 = -1
    var slave: Int32 = -1
    try syscall("openpty") { cv_open_terminal(&master, &slave) }
    return (FileDescriptor(master), FileDescriptor(slave))
}

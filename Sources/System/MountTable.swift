import Glibc

/// What is mounted in this process's namespace (proc_pid_mountinfo(5)).
public final class MountTable: Sendable {
    public struct Entry: Sendable {
        /// Of this mount alone while it lasts.
        public let number: UInt64
        public let path: String
        public let isShared: Bool
    }

    private let file: FileDescriptor

    /// Not of `/proc/self`: that is the first thread's.
    public init() throws(SystemError) { file = try FileDescriptor.open("/proc/thread-self/mountinfo", O_RDONLY) }

    /// What another mount lies upon comes before that.
    public func read() throws(SystemError) -> [Entry] {
        try Files.readText("/proc/thread-self/mountinfo").split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 6, let number = UInt64(fields[0]) else { return nil }
            let isShared = fields[6...].prefix { $0 != "-" }.contains { $0.hasPrefix("shared:") }
            return Entry(number: number, path: Self.unescaped(fields[4]), isShared: isShared)
        }
    }

    /// Blocks until something has been mounted or unmounted since the last return, or since the table was made.
    public func waitForChange() throws(SystemError) {
        var entry = pollfd(fd: file.raw, events: Int16(POLLPRI), revents: 0)
        try syscall("poll") { poll(&entry, 1, -1) }
    }

    /// Spaces and their like are written as a backslash and three octal digits.
    static func unescaped(_ text: Substring) -> String {
        guard text.contains("\\") else { return String(text) }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

import Config
import Glibc
import System

/// The machine itself and its tools.
enum MachineChecks {
    static func configuration() -> Check {
        guard let path = Configuration.path(), Files.exists(path) else {
            return .ok("configuration", "no file, so every key has its default")
        }
        return .ok("configuration", path)
    }

    static func user() -> Check {
        geteuid() == 0 ? .ok("user", "root; QEMU runs as another user") : .ok("user", "user \(geteuid()), without root")
    }

    /// openat2(2), the youngest system call used, came with Linux 5.6.
    static let oldestKernel = (major: 5, minor: 6)

    static func hostKernel() -> Check {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return hostKernel(release)
    }

    static func hostKernel(_ release: String) -> Check {
        let numbers = release.split { !$0.isASCII || !$0.isNumber }.compactMap { Int($0) }
        guard numbers.count >= 2, (numbers[0], numbers[1]) >= oldestKernel else {
            return .missing(
                "host kernel", "Linux \(release)",
                "Linux \(oldestKernel.major).\(oldestKernel.minor) is the oldest that will do: upgrade this machine")
        }
        return .ok("host kernel", "Linux \(release)")
    }

    /// - Parameter wanted: by one virtual machine, in bytes.
    static func memory(_ wanted: UInt64, file: String = "/proc/meminfo") -> Check {
        let line = (try? Files.readText(file))?.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        guard let kibibytes = line?.split(separator: " ").compactMap({ UInt64($0) }).first else {
            return .warning("memory", "\(file) does not say how much is free", "mount /proc")
        }
        let text = "\(Human.size(Int64(clamping: kibibytes << 10))) available"
        if kibibytes << 10 >= wanted { return .ok("memory", text) }
        return .warning(
            "memory", "\(text), and a container may use \(Human.size(Int64(clamping: wanted)))",
            "end other programs, run containers with --memory, or set memory in the configuration")
    }

    static func mkfs() -> Check {
        guard let path = Programs.find("mkfs.ext4") else {
            return .missing("mkfs.ext4", "not found", "run \"apt install e2fsprogs\"")
        }
        return .ok("mkfs.ext4", path)
    }
}

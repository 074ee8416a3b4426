import Config
import Glibc
import System

/// libvirt and its driver, which is a file of its own. Loaded here by name: linked, a missing libvirt would keep this
/// command from starting, and from saying so.
enum LibvirtChecks {
    /// The embedded driver came with 6.1.0.
    static let oldest = 6_001_000

    private static let libraryName = "libvirt.so.0"

    /// e.g. `9.0.0`; nil when libvirt is not there.
    static var version: (number: Int, text: String)? {
        guard let handle = dlopen(libraryName, RTLD_LAZY) else { return nil }
        defer { dlclose(handle) }
        // libvirt-host.h: int virGetVersion(unsigned long *libVer, const char *type, unsigned long *typeVer).
        typealias GetVersion =
            @convention(c) (
                UnsafeMutablePointer<UInt>?, UnsafePointer<CChar>?, UnsafeMutablePointer<UInt>?
            ) -> Int32
        guard let symbol = dlsym(handle, "virGetVersion") else { return nil }
        var number: UInt = 0
        guard unsafeBitCast(symbol, to: GetVersion.self)(&number, nil, nil) == 0 else { return nil }
        return (Int(number), "\(number / 1_000_000).\(number / 1000 % 1000).\(number % 1000)")
    }

    static func library() -> Check {
        guard let version else {
            return .missing("libvirt", "\(libraryName) cannot be loaded", "run \"apt install libvirt0\"")
        }
        guard version.number >= oldest else {
            return .missing("libvirt", "version \(version.text)", "6.1.0 is the oldest that will do: upgrade it")
        }
        return .ok("libvirt", "version \(version.text)")
    }

    static let driverName = "libvirt_driver_qemu.so"
    static let driverDirectories = [
        "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver", "/usr/lib/aarch64-linux-gnu/libvirt/connection-driver",
        "/usr/lib64/libvirt/connection-driver", "/usr/lib/libvirt/connection-driver",
    ]

    static func driver(
        directories: [String] = [Configuration.ownEnvironment("LIBVIRT_DRIVER_DIR")].compactMap { $0 }
            + driverDirectories
    ) -> Check {
        let candidates = directories.map { $0 + "/" + driverName }
        guard let found = candidates.first(where: { access($0, R_OK) == 0 }) else {
            return .missing(
                "libvirt's QEMU driver", "\(driverName) is not found", "run \"apt install libvirt-daemon-driver-qemu\"")
        }
        return .ok("libvirt's QEMU driver", found)
    }
}

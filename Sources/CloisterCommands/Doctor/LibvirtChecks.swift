import CLibvirt
import Config
import Glibc
import System

/// libvirt and its driver, which is a file of its own.
enum LibvirtChecks {
    /// The embedded driver came with 6.1.0.
    static let oldest = 6_001_000

    /// e.g. `9.0.0`; nil when libvirt does not say.
    static var version: (number: Int, text: String)? {
        var number: UInt = 0
        guard virGetVersion(&number, nil, nil) == 0 else { return nil }
        return (Int(number), "\(number / 1_000_000).\(number / 1000 % 1000).\(number % 1000)")
    }

    static func library() -> Check {
        guard let version else {
            return .missing("libvirt", "does not say its version", "run \"apt install --reinstall libvirt0\"")
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

import Acceleration
import Config
import Glibc

/// What carries virtual machines.
enum AcceleratorChecks {
    static let devicePath = "/dev/kvm"

    /// - Parameter wish: the configuration's.
    static func accelerator(_ wish: Config.Accelerator) -> Check {
        let found = AcceleratorChoice.auto.resolve()
        switch (wish, found.accelerator) {
        case (.emulation, _):
            return .ok("accelerator", "emulation, as configured; it is no security boundary")
        case (.auto, .kvm), (.kvm, .kvm): return .ok("accelerator", "KVM: \(found.reason)")
        case (.auto, .emulation):
            return .warning(
                "accelerator", "software emulation, which is slow and no security boundary: \(found.reason)",
                access(devicePath, R_OK | W_OK) == 0
                    ? "for KVM use a machine with hardware virtualization, or one where it is enabled for guests"
                    : "see \(devicePath) below")
        case (.kvm, .emulation):
            return .missing(
                "accelerator", "KVM is configured, but \(found.reason)",
                "set accelerator = \"auto\" in the configuration, or mend KVM")
        }
    }

    static func device(_ wish: Config.Accelerator, path: String = devicePath) -> Check {
        let fd = open(path, O_RDWR | O_CLOEXEC)
        if fd >= 0 {
            close(fd)
            return .ok(path, "opens")
        }
        let code = errno
        let finding = String(cString: strerror(code))
        let remedy: String
        switch code {
        case EACCES, EPERM: remedy = "run \"sudo usermod -aG kvm $USER\" and log in again"
        case ENOENT:
            remedy =
                "load the module with \"sudo modprobe kvm_intel\" or kvm_amd, and enable virtualization in the firmware"
        default: remedy = "see the kernel's log for why"
        }
        if wish == .emulation { return .ok(path, "not needed (\(finding))") }
        return wish == .kvm ? .missing(path, finding, remedy) : .warning(path, finding, remedy)
    }
}

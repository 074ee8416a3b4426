import Glibc
import System

/// What runs the guest's instructions.
public enum Accelerator: String, Sendable, CaseIterable {
    /// The processor, through `/dev/kvm`: a security boundary.
    case kvm
    /// QEMU's translator (TCG): a convenience that QEMU's own security policy does not call a boundary.
    case emulation
}

/// What the person asked for.
public enum AcceleratorChoice: String, Sendable, CaseIterable {
    case auto
    case kvm
    case emulation

    /// Decides by looking at this machine. `kvm` and `emulation` are obeyed as they are: who forces KVM may know better
    /// than the look-up.
    /// - Returns: what to use, and why in words for a person.
    public func resolve() -> (accelerator: Accelerator, reason: String) {
        resolve(device: "/dev/kvm", processor: "/proc/cpuinfo")
    }

    func resolve(device: String, processor: String) -> (accelerator: Accelerator, reason: String) {
        switch self {
        case .kvm: return (.kvm, "KVM was asked for")
        case .emulation: return (.emulation, "emulation was asked for")
        case .auto:
            if let obstacle = Self.obstacleToKVM(device: device, processor: processor) { return (.emulation, obstacle) }
            return (.kvm, "\(device) opens and the processor has virtualization extensions")
        }
    }

    /// An openable device is not enough: a KVM without hardware behind it (nested in some clouds) opens, creates machines
    /// and then hangs every guest whose kernel was not made for it.
    private static func obstacleToKVM(device: String, processor: String) -> String? {
        if let obstacle = Accelerator.obstacle(toOpening: device) { return obstacle }
        guard let text = try? Files.readText(processor), Accelerator.virtualization(in: text) else {
            return "the processor offers no virtualization extensions (vmx or svm in \(processor))"
        }
        return nil
    }
}

extension Accelerator {
    /// Why KVM's device cannot be opened, in words for a person; nil when it can.
    public static func obstacle(toOpening device: String = "/dev/kvm") -> String? {
        let fd = open(device, O_RDWR | O_CLOEXEC)
        let code = errno
        guard fd >= 0 else {
            switch code {
            case ENOENT:
                return "\(device) does not exist: enable virtualization in the firmware and load the kvm module"
            case EACCES, EPERM: return "\(device) may not be opened by this user: add the user to the group \"kvm\""
            default: return "\(device) cannot be opened: \(String(cString: strerror(code)))"
            }
        }
        close(fd)
        return nil
    }
}

extension Accelerator {
    /// A KVM without virtualization extensions beneath it, which fails on a model-specific register that QEMU sets when
    /// the guest's processor has the feature `arch-capabilities`.
    public static var isSoftwareKVM: Bool {
        guard let text = try? Files.readText("/proc/cpuinfo") else { return false }
        return !virtualization(in: text)
    }

    /// Whether `/proc/cpuinfo` tells of Intel's or AMD's extensions.
    static func virtualization(in processorInformation: String) -> Bool {
        for line in processorInformation.split(separator: "\n") where line.hasPrefix("flags") {
            let flags = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == ":" })
            return flags.contains("vmx") || flags.contains("svm")
        }
        return false
    }
}

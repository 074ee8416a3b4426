import CLibvirt
import System

/// Why a machine could not be started: what was tried, why it failed, and what to do about it where that is known. Printed
/// flat, as one sentence.
public struct HypervisorError: Error, CustomStringConvertible, Sendable {
    public let step: String
    public let reason: String
    /// What the person can do; nil where nothing better than the reason is known.
    public let remedy: String?

    public init(_ step: String, _ reason: String, remedy: String? = nil) {
        self.step = step
        self.reason = reason
        self.remedy = remedy
    }

    init(_ step: String, _ error: SystemError) { self.init(step, String(describing: error)) }

    public var description: String {
        let head = "\(step): \(reason)"
        return remedy.map { "\(head); \($0)" } ?? head
    }

    /// The failure of the libvirt call just made by this very thread: libvirt keeps its last error per thread.
    static func last(_ step: String) -> HypervisorError {
        guard let error = virGetLastError(), let message = error.pointee.message else {
            return HypervisorError(step, "libvirt gave no reason")
        }
        return explain(step, flat(String(cString: message)))
    }

    /// One line: libvirt appends QEMU's whole log to some messages.
    static func flat(_ message: String) -> String {
        let lines = message.split(whereSeparator: \.isNewline).map(String.init)
        return lines.joined(separator: " ").split(separator: " ").joined(separator: " ")
    }

    /// Adds the remedy for the causes that are common.
    static func explain(_ step: String, _ message: String) -> HypervisorError {
        for (marks, remedy) in remedies where marks.allSatisfy(message.contains) {
            return HypervisorError(step, message, remedy: remedy)
        }
        return HypervisorError(step, message)
    }

    private static let remedies: [(marks: [String], remedy: String)] = [
        (
            ["Failed to parse user"],
            "create it with `useradd --system libvirt-qemu`, or allow this process to make mounts"
        ),
        (
            ["Failed to parse group"],
            "create it with `groupadd --system libvirt-qemu`, or allow this process to make mounts"
        ),
        (["Cannot check QEMU binary"], "install qemu-system-x86"),
        (["Failed to find", "qemu-system"], "install qemu-system-x86"),
        (["no connection driver available"], "install libvirt-daemon-driver-qemu"),
        (["Failed to load module"], "install libvirt-daemon-driver-qemu"),
        (["/dev/kvm", "ermission denied"], "let QEMU's user open /dev/kvm, or use --accelerator emulation"),
        (["invalid argument: could not get preferred machine"], "use --accelerator emulation, or enable KVM"),
        (["Emulator", "does not support virt type"], "use --accelerator emulation, or enable KVM"),
        (["arch-capabilities"], "this KVM cannot offer the host's processor to a guest: use --accelerator emulation"),
        (["ermission denied"], "make the file, and the directories above it, accessible to the user that QEMU runs as"),
        (["annot set up guest memory"], "ask for less memory with --memory"),
        (["annot allocate memory"], "ask for less memory with --memory"),
        (["kernel too old"], "give a kernel for x86-64: an uncompressed vmlinux with a PVH entry, or a bzImage"),
        (["could not load kernel"], "give a kernel for x86-64: an uncompressed vmlinux with a PVH entry, or a bzImage"),
        (["PVH"], "give a kernel for x86-64: an uncompressed vmlinux with a PVH entry, or a bzImage"),
        (["invalid kernel"], "give a kernel for x86-64: an uncompressed vmlinux with a PVH entry, or a bzImage"),
    ]
}

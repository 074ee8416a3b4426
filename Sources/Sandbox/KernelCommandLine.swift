/// The words the guest's kernel is started with, beside those built into it (`kernel-config/95-command-line.config`).
enum KernelCommandLine {
    static let words = [
        // The virtio console: a serial port is slow to write to under any accelerator.
        "console=hvc0",
        "quiet",
        // A guest that panics ends: QEMU runs with on_reboot and on_crash set to destroy.
        "panic=-1",
        "reboot=t",
        "tsc=reliable",
        "random.trust_cpu=on",
    ].joined(separator: " ")
}

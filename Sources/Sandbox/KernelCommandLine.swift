/// The words the guest's kernel is started with.
enum KernelCommandLine {
    static func words(vcpus: Int) -> String {
        [
            // The virtio console: a serial port is slow to write to under any accelerator.
            "console=hvc0",
            "quiet",
            // A guest that panics ends: QEMU runs with on_reboot and on_crash set to destroy.
            "panic=-1",
            "reboot=t",
            // No check of the timer interrupt against a PIT that may be late on a busy host.
            "no_timer_check",
            "tsc=reliable",
            "random.trust_cpu=on",
        ].joined(separator: " ")
    }
}

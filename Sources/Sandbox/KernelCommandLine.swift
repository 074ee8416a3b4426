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

    /// More of them where another process than QEMU fills the guest's memory with programs, as a share's server does, and QEMU
    /// translates these. It keeps its translation of a page until it sees the page written, which it does not see of the
    /// server: what the guest read into a page that had held another program crashed or hung, in one of
    /// about forty containers. So the guest's kernel clears every page before its use, which QEMU sees.
    static let emulatedShareWord = "init_on_alloc=1"
}

import Hypervisor
import System

extension Sandbox {
    /// A boot that failed, with the console's last lines and what probably caused it.
    func bootFailure(_ what: String) -> SandboxError {
        let tail = consoleTail()
        let console = tail.isEmpty ? "its console printed nothing" : "the end of its console:\n\(tail)"
        return SandboxError(.failed, "\(what); \(console)\nlikely cause: \(likelyCause(tail))")
    }

    static func spell(_ duration: Duration) -> String {
        let milliseconds = duration.milliseconds
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000) s" : "\(milliseconds) ms"
    }

    private func likelyCause(_ tail: String) -> String {
        let causes: [(sign: String, cause: String)] = [
            ("Out of memory", "the guest ran out of memory while it started; give it more with --memory"),
            (
                "System is deadlocked on memory",
                "the guest ran out of memory while it started; give it more with --memory"
            ),
            ("No working init found", "the initramfs has no agent in it; rebuild it with `make build`"),
            ("VFS: Unable to mount root fs", "the kernel did not accept the initramfs; rebuild both with `make build`"),
            ("Kernel panic", "the guest's kernel panicked; the lines above say why"),
        ]
        if let known = causes.first(where: { tail.contains($0.sign) }) { return known.cause }
        if accelerator?.0 == .kvm {
            return "this machine's KVM cannot run the guest's kernel (KVM inside a virtual machine without nested "
                + "virtualisation is like that); try --accelerator emulation"
        }
        return
            "the machine is too busy for the boot timeout (raise it with --boot-timeout), or the kernel given is not "
            + "one built for Cloister"
    }

    /// The last lines of the guest's console: a guest's bytes, so control characters are left out and the length is capped.
    func consoleTail(lines: Int = 8) -> String {
        guard let bytes = try? Files.read(configuration.consoleLog, limit: 64 << 20) else { return "" }
        let text = String(decoding: bytes.suffix(4096), as: UTF8.self)
        let printable = text.unicodeScalars.filter { $0 == "\n" || ($0.value >= 32 && !(127..<160).contains($0.value)) }
        return String(String.UnicodeScalarView(printable))
            .split(separator: "\n", omittingEmptySubsequences: true).suffix(lines).map { "  | \($0)" }
            .joined(separator: "\n")
    }
}

import Acceleration
import Glibc
import SandboxClient
import System

/// What a person is told before a run that may surprise them.
enum Notices {
    /// One line, for one who did not ask for emulation and gets it.
    static func emulation(_ wish: String) {
        guard wish == AcceleratorChoice.auto.rawValue else { return }
        let found = AcceleratorChoice.auto.resolve()
        guard found.accelerator == .emulation else { return }
        Output.error("cloister: running in slow software emulation, which is no security boundary: \(found.reason)\n")
    }

    /// For one whose container's writes failed, or are lost, for want of space on the host.
    static func fullDisk(_ disk: String) {
        guard FreeSpace.isExhausted(at: disk) else { return }
        Output.error(
            "cloister: no space left on \(FreeSpace.place(of: disk)), where the container's disk is, so what it wrote last may "
                + "be lost; free space there.\n")
    }

    /// What takes long and is done once. Only for a person who watches.
    static func progress(_ text: String) {
        if isatty(STDERR_FILENO) != 0 { Output.error("cloister: \(text)\n") }
    }

    /// libvirt looks at what QEMU can do before its first machine, for up to a minute.
    static func firstProbe(_ cache: String) {
        let known = [Acceleration.Accelerator.kvm, .emulation].contains { accelerator in
            !((try? Files.list("\(cache)/\(accelerator.rawValue)/capabilities")) ?? []).isEmpty
        }
        if !known { progress("looking at what QEMU can do, once; this may take a minute") }
    }
}

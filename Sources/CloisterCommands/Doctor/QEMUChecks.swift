/// QEMU, and what it was built with.
struct QEMUChecks {
    static let name = "qemu-system-x86_64"
    static let device = "vhost-user-vsock-pci"
    private static let install = "run \"apt install qemu-system-x86\""

    let path: String?

    init(path: String? = Programs.find(QEMUChecks.name)) { self.path = path }

    /// e.g. `7.2.22`; nil when it does not run.
    var version: String? {
        guard let path, let text = try? Programs.output(path, ["--version"]) else { return nil }
        let words = text.split { $0 == " " || $0 == "\n" }
        guard words.count > 3, words.prefix(3) == ["QEMU", "emulator", "version"] else { return nil }
        return String(words[3])
    }

    func program() -> Check {
        guard let path else { return .missing("QEMU", "\(Self.name) is not found", Self.install) }
        guard let version else {
            return .missing("QEMU", "\(path) does not tell its version", "run \"\(path) --version\" to see why")
        }
        return .ok("QEMU", "\(path), version \(version)")
    }

    func vsockDevice() -> Check {
        guard let path else { return .missing(Self.device, "there is no QEMU", Self.install) }
        guard let devices = try? Programs.output(path, ["-device", "help"]) else {
            return .missing(Self.device, "QEMU does not list its devices", "run \"\(path) -device help\" to see why")
        }
        guard devices.contains("name \"\(Self.device)\"") else {
            return .missing(
                Self.device, "this QEMU was built without it", "use the distribution's QEMU: \(Self.install)")
        }
        return .ok(Self.device, "known to QEMU")
    }
}

import Glibc
import System
import Testing

@testable import Acceleration
@testable import Hypervisor

@Suite struct HostTests {
    @Test(arguments: [
        ("Intel", "processor : 0\nflags\t\t: fpu vme vmx sse\n", true), ("AMD", "flags : fpu svm", true),
        ("neither", "flags : fpu vmxish asvm\n", false), ("no flags", "processor : 0\n", false), ("empty", "", false),
        ("elsewhere", "model name : vmx\nflags : fpu\n", false),
    ])
    func virtualizationFlags(_ name: String, _ text: String, _ expected: Bool) {
        #expect(Accelerator.virtualization(in: text) == expected, "\(name)")
    }

    @Test func choice() throws {
        let directory = "/tmp/cloister-accelerator-\(getpid())"
        try Files.makeDirectories(directory)
        defer { try? Files.removeTree(directory) }
        try Files.write("\(directory)/with", "flags : vmx\n")
        try Files.write("\(directory)/without", "flags : fpu\n")
        try Files.write("\(directory)/device", "")
        let device = "\(directory)/device"
        let cases: [(AcceleratorChoice, device: String, processor: String, Accelerator, reason: String)] = [
            (.auto, device, "\(directory)/with", .kvm, "opens"),
            (.auto, device, "\(directory)/without", .emulation, "vmx or svm"),
            (.auto, "\(directory)/none", "\(directory)/with", .emulation, "does not exist"),
            (.auto, device, "\(directory)/none", .emulation, "vmx or svm"),
            (.kvm, "\(directory)/none", "\(directory)/without", .kvm, "asked for"),
            (.emulation, device, "\(directory)/with", .emulation, "asked for"),
        ]
        for (choice, device, processor, expected, reason) in cases {
            let result = choice.resolve(device: device, processor: processor)
            #expect(result.accelerator == expected)
            #expect(result.reason.contains(reason), "\(result.reason)")
        }
    }

    @Test(
        arguments: [
            ("complete", "libvirt-qemu:x:1:1::/:/n\nqemu:x:2:2::/:/n\n", nil),
            (
                "both missing", "root:x:0:0::/:/s",
                "root:x:0:0::/:/s\nlibvirt-qemu:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
                    + "qemu:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
            ),
            (
                "one missing", "libvirt-qemu:x:1:1::/:/n\n",
                "libvirt-qemu:x:1:1::/:/n\nqemu:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
            ),
        ] as [(String, String, String?)])
    func userDatabase(_ name: String, _ text: String, _ expected: String?) {
        let completed = PrivateMounts.complete(text, isPasswd: true) { user in
            text.split(separator: "\n").contains { $0.hasPrefix("\(user):") }
        }
        #expect(completed == expected, "\(name)")
    }

    @Test(arguments: [
        ("no driver", "no connection driver available for qemu:///embed?root=/r", "libvirt-daemon-driver-qemu"),
        ("no emulator", "invalid argument: Cannot check QEMU binary /x: No such file or directory", "qemu-system-x86"),
        ("no access", "qemu: could not open disk /d: Permission denied", "accessible to the user"),
        ("no such kernel", "qemu: linux kernel too old to load a ram disk", "vmlinux"),
        ("no memory", "cannot set up guest memory 'pc.ram': Cannot allocate memory", "--memory"),
    ])
    func remedies(_ name: String, _ message: String, _ remedy: String) {
        let error = HypervisorError.explain("create", message)
        #expect(error.remedy?.contains(remedy) == true, "\(name)")
        #expect("\(error)" == "create: \(message); \(error.remedy ?? "")")
    }

    @Test func messagesAreFlat() {
        #expect(
            HypervisorError.flat("internal error: monitor\n2026 qemu:  bad\r\n\n")
                == "internal error: monitor 2026 qemu: bad")
        #expect("\(HypervisorError.explain("a", "b"))" == "a: b")
    }
}

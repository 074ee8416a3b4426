import Config
import Glibc
import System
import Testing

@testable import CloisterCommands

@Suite struct DoctorTests {
    @Test func everyCheckSaysWhatItFoundAndWhatToDo() {
        let checks = DoctorCommand.checks()
        #expect(checks.count >= 14)
        #expect(Set(checks.map(\.name)).count == checks.count)
        for check in checks {
            #expect(!check.finding.isEmpty)
            #expect((check.remedy == nil) == (check.state == .ok), "\(check)")
        }
    }

    @Test(arguments: [
        ("6.1.0-18-amd64", Check.State.ok), ("5.6.0", .ok), ("5.5.19", .missing), ("4.19.0", .missing), ("10.0", .ok),
        ("strange", .missing),
    ])
    func kernels(_ release: String, _ expected: Check.State) {
        #expect(MachineChecks.hostKernel(release).state == expected)
    }

    @Test func memoryIsCompared() throws {
        let directory = try TemporaryDirectory()
        let file = "\(directory.path)/meminfo"
        try Files.write(file, "MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
        #expect(MachineChecks.memory(1 << 20, file: file) == .ok("memory", "2 MiB available"))
        #expect(MachineChecks.memory(4 << 20, file: file).state == .warning)
        #expect(MachineChecks.memory(1, file: file + "-none").state == .warning)
    }

    @Test(arguments: [
        (Config.Accelerator.auto, Check.State.warning), (.kvm, .missing), (.emulation, .ok),
    ])
    func noDevice(_ wish: Config.Accelerator, _ expected: Check.State) {
        let check = AcceleratorChecks.device(wish, path: "/nowhere/kvm")
        #expect(check.state == expected)
        #expect(check.finding.contains("No such file or directory"))
    }

    @Test func aMissingDriverNamesItsPackage() {
        #expect(
            LibvirtChecks.driver(directories: ["/nowhere"])
                == .missing(
                    "libvirt's QEMU driver", "libvirt_driver_qemu.so is not found",
                    "run \"apt install libvirt-daemon-driver-qemu\""))
    }

    @Test func aMissingOrStrangeQEMUIsNamed() {
        #expect(QEMUChecks(path: nil).program().state == .missing)
        #expect(QEMUChecks(path: nil).vsockDevice().state == .missing)
        // A program that prints nothing of the kind.
        #expect(QEMUChecks(path: "/bin/true").program().state == .missing)
        #expect(QEMUChecks(path: "/bin/echo").vsockDevice().state == .missing)
        #expect(QEMUChecks(path: "/bin/false").vsockDevice().finding == "QEMU does not list its devices")
        #expect(QEMUChecks(path: "/nowhere/qemu").version == nil)
    }

    @Test func partsAreChecked() throws {
        let directory = try TemporaryDirectory()
        var configuration = Configuration(environment: { _ in nil })
        configuration.kernel = "\(directory.path)/kernel"
        configuration.initramfs = "\(directory.path)/initramfs"
        #expect(InstallationChecks.kernel(configuration).finding.contains("No such file or directory"))
        try Files.write("\(directory.path)/kernel", "#!/bin/sh")
        try Files.write("\(directory.path)/initramfs", "#!/bin/sh")
        #expect(InstallationChecks.kernel(configuration).finding.contains("is not a kernel that can be booted"))
        #expect(InstallationChecks.initramfs(configuration).finding.hasSuffix("is not an initramfs"))
        try Files.write("\(directory.path)/initramfs", "070701")
        #expect(InstallationChecks.initramfs(configuration).state == .ok)
    }

    @Test func theStateDirectoryMustBeShortAndOwn() throws {
        let directory = try TemporaryDirectory()
        #expect(DirectoryChecks.state(directory.path).state == .ok)
        #expect(
            DirectoryChecks.state("\(directory.path)/new")
                == .ok("state directory", "\(directory.path)/new, not made yet"))
        #expect(!Files.exists("\(directory.path)/new"))
        let long = "/" + String(repeating: "a", count: 60)
        #expect(DirectoryChecks.state(long).finding.contains("61 bytes"))
        chmod(directory.path, 0o777)
        #expect(DirectoryChecks.state(directory.path).state == .missing)
    }

    @Test func theImageStoreNeedsAPlace() throws {
        let directory = try TemporaryDirectory()
        #expect(DirectoryChecks.images(directory.path).state != .missing)
        #expect(DirectoryChecks.images("\(directory.path)/a/b").state == .ok)
        #expect(!Files.exists("\(directory.path)/a"))
        #expect(DirectoryChecks.images("/dev/null/none").state == .missing)
    }

    @Test func aProgramThatDoesNotEndIsEnded() {
        #expect(throws: SystemError.self) {
            try Programs.output("/bin/sleep", ["1000"], timeout: .milliseconds(50))
        }
        #expect((try? Programs.output("/bin/echo", ["a", "b"])) == "a b\n")
        #expect(throws: SystemError.self) { try Programs.output("/bin/false", []) }
        #expect(Programs.find("sh") != nil)
        #expect(Programs.find("no-such-program") == nil)
    }
}

/// A directory that goes with its owner.
final class TemporaryDirectory {
    let path: String
    init() throws {
        path = "/tmp/cl-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try Files.makeDirectories(path)
    }
    deinit { try? Files.removeTree(path) }
}

import Glibc
import System
import Testing

@testable import Hypervisor

/// Real machines. libvirt allows a process one root, so they run one after the other, all in the same.
@Suite(.serialized) final class MachineTests {
    /// Not in the environment's temporary directory: sockets need a short path.
    private static let base = "/tmp/cloister-hv-\(getpid())"
    private static let cache = "/tmp/cloister-hv-\(getpid())-cache"
    private let machines = Guarded<[VirtualMachine]>([])

    init() throws {
        try Files.makeDirectories(Self.base, mode: 0o711)
        try Files.write("\(Self.base)/initramfs", "none", mode: 0o644)
        for kernel in TinyKernel.allCases { try kernel.write(to: "\(Self.base)/\(kernel)") }
    }

    deinit {
        for machine in machines.withLock({ $0 }) { machine.destroy() }
        for path in [Self.base, Self.cache] { try? Files.removeTree(path) }
    }

    private func machine(
        _ kernel: TinyKernel, _ change: (inout MachineConfiguration) -> Void = { _ in }
    ) throws -> VirtualMachine {
        var configuration = MachineConfiguration(
            name: "test", accelerator: .emulation, memoryInBytes: 64 << 20, vcpus: 1,
            kernel: "\(Self.base)/\(kernel)", initramfs: "\(Self.base)/initramfs", commandLine: "quiet",
            consoleLog: "\(Self.base)/console", runAs: geteuid() == 0 ? .init(uid: 64999, gid: 64999) : nil)
        change(&configuration)
        let machine = VirtualMachine(configuration: configuration, root: "\(Self.base)/lv", capabilityCache: Self.cache)
        machines.withLock { $0.append(machine) }
        return machine
    }

    /// Whether no file is left. libvirt may be later to note the end than we are to remove everything, and write it down,
    /// for which it makes its directories anew, and 200 ms later remove what it wrote.
    private static var isGone: Bool {
        func hasFile(_ path: String) -> Bool {
            guard let names = try? Files.list(path) else { return Files.exists(path) }
            return names.contains { hasFile("\(path)/\($0)") }
        }
        let deadline = Clock.monotonic + .seconds(5)
        while hasFile("\(base)/lv") {
            if Clock.monotonic > deadline { return false }
            usleep(5000)
        }
        return true
    }

    /// Waits for the exit callback.
    private func exit(of machine: VirtualMachine, within: Duration = .seconds(20)) -> String? {
        let told = Guarded<String?>(nil)
        machine.onExit { reason in told.withLock { $0 = reason } }
        return told.wait(timeout: within) { $0 }
    }

    @Test func powersItselfOff() throws {
        let machine = try machine(.powersOff)
        let steps = Guarded<[String]>([])
        try machine.start { step, _ in steps.withLock { $0.append(step) } }
        #expect(steps.withLock { $0 } == ["libvirt open", "domain create", "QEMU exec"])
        #expect(exit(of: machine) == "the guest powered off")
        #expect(machine.exit == .shutdown)
        machine.destroy()
        #expect(Self.isGone)
    }

    @Test func destroyLeavesNothing() throws {
        let machine = try machine(.halts)
        try machine.start()
        let pid = try #require(machine.qemuPid)
        #expect(kill(pid, 0) == 0)
        machine.destroy()
        #expect(kill(pid, 0) != 0 && errno == ESRCH)
        #expect(Self.isGone)
        #expect(machine.exit == .destroyed)
        machine.destroy()
    }

    /// The first start of all asks QEMU what it can, which no pid file tells of.
    @Test(arguments: [20, 120, 480]) func destroyedWhileItStarts(afterMilliseconds delay: UInt32) throws {
        try? Files.removeTree(Self.cache)
        let machine = try machine(.halts)
        let outcome = Guarded<Result<Void, HypervisorError>?>(nil)
        Thread.start("test-start") {
            let result = Result { () throws(HypervisorError) in try machine.start() }
            outcome.withLock { $0 = result }
        }
        usleep(delay * 1000)
        let start = Clock.monotonic
        machine.destroy()
        #expect(outcome.wait(timeout: .seconds(20)) { $0 } != nil)
        #expect(Clock.monotonic - start < .seconds(10), "libvirt gives up waiting after 15 and 40 seconds")
        #expect(Self.isGone)
        if let pid = machine.qemuPid { #expect(kill(pid, 0) != 0 && errno == ESRCH) }
    }

    @Test func killedEmulatorIsNoticedAtOnce() throws {
        let machine = try machine(.halts)
        try machine.start()
        let pid = try #require(machine.qemuPid)
        kill(pid, SIGKILL)
        #expect(exit(of: machine, within: .seconds(1)) == "QEMU was killed by signal 9")
        machine.destroy()
        #expect(Self.isGone)
    }

    /// Whether the guest answers or not: this one does not.
    @Test func disksArePluggedIn() throws {
        let path = "\(Self.base)/disk"
        try Files.write(path, [UInt8](repeating: 0, count: 1 << 20), mode: 0o644)
        let disk = Disk(path: path, readOnly: true, serial: "host-0")
        let machine = try machine(.halts) { $0.pluggable = true }
        #expect(throws: HypervisorError.self) { try machine.plug(disk, port: 0) }
        try machine.start()
        defer { machine.destroy() }
        let pid = try #require(machine.qemuPid)
        let isOpen = {
            try Files.list("/proc/\(pid)/fd").contains { realpath(of: "/proc/\(pid)/fd/\($0)") == path }
        }
        #expect(try !isOpen())
        try machine.plug(disk, port: MachineConfiguration.mostPluggedDisks - 1)
        #expect(try isOpen())
        for port in [-1, MachineConfiguration.mostPluggedDisks, MachineConfiguration.mostPluggedDisks - 1] {
            let other = Disk(path: path, readOnly: true, serial: "host-1")
            #expect(throws: HypervisorError.self) { try machine.plug(other, port: port) }
        }
        let missing = Disk(path: "\(path)-not-there", readOnly: true, serial: "host-2")
        #expect(throws: HypervisorError.self) { try machine.plug(missing, port: 0) }
        let error = #expect(throws: HypervisorError.self) { try machine.unplug(disk, timeout: .milliseconds(200)) }
        #expect(error?.description == "take away disk host-0: the guest has not let go of it")
    }

    @Test func noDisksArePluggedInWhereNoneWereToBe() throws {
        let machine = try machine(.halts)
        try machine.start()
        defer { machine.destroy() }
        let disk = Disk(path: "/dev/null", readOnly: true, serial: "host-0")
        #expect(throws: HypervisorError.self) { try machine.plug(disk, port: 0) }
        #expect(throws: HypervisorError.self) { try machine.unplug(disk, timeout: .seconds(1)) }
    }

    @Test func emulatorIsConfined() throws {
        let machine = try machine(.halts)
        try machine.start()
        defer { machine.destroy() }
        let pid = try #require(machine.qemuPid)
        let arguments = try arguments(of: machine)
        #expect(arguments["-sandbox"] == "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
        #expect(arguments["-no-user-config"] != nil && arguments["-nodefaults"] != nil)
        #expect(arguments["-accel"] == "tcg")
        #expect(arguments["-cpu"] == "max,erms=off,fsrm=off")
        let status = try Files.readText("/proc/\(pid)/status")
        #expect(status.contains("\nSeccomp:\t2\n"))
        if geteuid() == 0 {
            #expect(status.contains("\nUid:\t64999\t64999\t64999\t64999\n"))
            #expect(status.contains("\nGid:\t64999\t64999\t64999\t64999\n"))
            #expect(status.contains("\nCapEff:\t0000000000000000\n"))
        }
    }

    private static let hasKVM = access("/dev/kvm", R_OK | W_OK) == 0

    /// The device may be root's alone: QEMU's user gets to open it, and nobody else does.
    /// In a process of its own, because libvirt remembers what it learned of KVM with the other tests.
    @Test(.enabled(if: hasKVM, "/dev/kvm cannot be opened")) func runsOnKVM() async {
        await #expect(processExitsWith: .success) { try MachineTests().checkKVM() }
    }

    private func checkKVM() throws {
        var before = stat()
        #expect(stat("/dev/kvm", &before) == 0)
        let machine = try machine(.halts) { $0.accelerator = .kvm }
        try machine.start()
        defer { machine.destroy() }
        let arguments = try arguments(of: machine)
        #expect(arguments["-accel"] == "kvm")
        #expect(arguments["-cpu"]?.hasPrefix("host") == true)
        #expect(arguments["-sandbox"]?.hasPrefix("on,") == true)
        #expect(arguments["-no-user-config"] != nil && arguments["-nodefaults"] != nil)
        var after = stat()
        #expect(stat("/dev/kvm", &after) == 0)
        #expect(after.st_mode == before.st_mode && after.st_gid == before.st_gid && after.st_ino == before.st_ino)
    }

    /// QEMU's options, with the word that follows each.
    private func arguments(of machine: VirtualMachine) throws -> [String: String] {
        let pid = try #require(machine.qemuPid)
        let words = try Files.read("/proc/\(pid)/cmdline").split(separator: 0).map {
            String(decoding: $0, as: UTF8.self)
        }
        return Dictionary(zip(words, words.dropFirst() + [""])) { first, _ in first }
    }

    /// As root, files below a directory that QEMU's user may not enter, and that stays so.
    @Test func filesOutOfReach() throws {
        let closed = "\(Self.base)/closed"
        try Files.makeDirectories(closed, mode: 0o700)
        try TinyKernel.powersOff.write(to: "\(closed)/kernel")
        try Files.write("\(closed)/disk", [UInt8](repeating: 0, count: 1 << 20), mode: 0o644)
        let machine = try machine(.halts) {
            $0.kernel = "\(closed)/kernel"
            $0.disks = [Disk(path: "\(closed)/disk", readOnly: true, serial: "a")]
        }
        try machine.start()
        #expect(exit(of: machine) == "the guest powered off")
        machine.destroy()
        #expect(Self.isGone)
        #expect(try Files.list(closed).sorted() == ["disk", "kernel"])
    }

    /// As many disks as a machine takes, shared by two machines' worth of opens.
    @Test(arguments: [1, 26, 27, MachineConfiguration.mostDisks]) func disks(_ count: Int) throws {
        let path = "\(Self.base)/disk"
        try Files.write(path, [UInt8](repeating: 0, count: 1 << 20), mode: 0o644)
        let machine = try machine(.powersOff) {
            $0.disks = (0..<count).map { Disk(path: path, readOnly: true, serial: "layer-\($0)") }
        }
        try machine.start()
        #expect(exit(of: machine, within: .seconds(60)) == "the guest powered off")
    }

    /// Of files with names that a text would have to escape, below a directory that QEMU's user may not enter.
    @Test func aDiskOfSeveralFiles() throws {
        let closed = "\(Self.base)/closed"
        try Files.makeDirectories(closed, mode: 0o700)
        let paths = ["first", "a \"b\"\n# c", String(repeating: "n", count: 255)].map { "\(closed)/\($0)" }
        for path in paths { try Files.write(path, [UInt8](repeating: 0, count: 1 << 20), mode: 0o644) }
        var disk = Disk(path: paths[0], readOnly: true, serial: "layers")
        disk.furtherPaths = Array(paths.dropFirst())
        let machine = try machine(.halts) {
            $0.disks = [disk]
            $0.pluggable = true
        }
        try machine.start()
        defer { machine.destroy() }
        let pid = try #require(machine.qemuPid)
        let open = try Files.list("/proc/\(pid)/fd").compactMap { inode(of: "/proc/\(pid)/fd/\($0)") }
        #expect(Set(paths.compactMap(inode)).count == 3 && Set(paths.compactMap(inode)).isSubset(of: open))
        let error = #expect(throws: HypervisorError.self) { try machine.plug(disk, port: 0) }
        #expect(error?.description == "plug in disk layers: it is of several files")
    }

    @Test(arguments: [0, 511, 513]) func filesOfOddSizesAreNotJoined(_ size: Int) throws {
        let path = "\(Self.base)/disk"
        try Files.write(path, [UInt8](repeating: 0, count: size), mode: 0o644)
        var disk = Disk(path: "/dev/null", readOnly: true, serial: "layers")
        (disk.path, disk.furtherPaths) = (path, [path])
        let machine = try machine(.halts) { [disk] in $0.disks = [disk] }
        let error = #expect(throws: HypervisorError.self) { try machine.start() }
        #expect(error?.description.contains("\(path), which has \(size) bytes") == true)
        #expect(Self.isGone)
    }

    @Test func failedStartLeavesNothing() throws {
        try Files.write("\(Self.base)/text", "not a kernel", mode: 0o644)
        let machine = try machine(.halts) { $0.kernel = "\(Self.base)/text" }
        let began = Clock.monotonic
        let error = #expect(throws: HypervisorError.self) { try machine.start() }
        #expect(Clock.monotonic - began < .seconds(20), "libvirt waited for a process that nobody reaped")
        #expect(error?.remedy?.contains("vmlinux") == true, "\(error.map(String.init(describing:)) ?? "")")
        #expect(Self.isGone)
        #expect(machine.qemuPid == nil || kill(machine.qemuPid ?? 0, 0) != 0)
    }
}

private func inode(of path: String) -> ino_t? {
    var info = stat()
    return stat(path, &info) == 0 ? info.st_ino : nil
}

private func realpath(of path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
}

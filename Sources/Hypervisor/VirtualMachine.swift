import CLibvirt
import CSystem
import Glibc
import System

/// Why QEMU is no more.
public enum MachineExit: Equatable, Sendable, CustomStringConvertible {
    /// The guest powered itself off, or rebooted, which ends it too.
    case shutdown
    /// The guest's kernel panicked and said so.
    case crashed
    /// `VirtualMachine.destroy` ended it.
    case destroyed
    /// QEMU itself ended: killed by somebody, or by a fault of its own. Nil where its status is unknown.
    case failed(ExitStatus?)

    /// For a person, to follow "the virtual machine ended: ".
    public var description: String {
        switch self {
        case .shutdown: "the guest powered off"
        case .crashed: "the guest's kernel panicked"
        case .destroyed: "it was told to"
        case .failed(.exited(let code)?): "QEMU failed with status \(code)"
        case .failed(.signalled(let number)?): "QEMU was killed by signal \(number)"
        case .failed(nil): "QEMU is gone"
        }
    }
}

/// One virtual machine: libvirt's embedded driver with one domain in a root directory of its own.
///
/// libvirt allows one root for the life of a process, so a process has one machine at a time, always at the same root.
/// Safe from any thread; `start` and `destroy` block.
public final class VirtualMachine: Sendable {
    enum Phase { case new, starting, running, destroying, ended }

    struct State {
        var phase = Phase.new
        var process: QemuProcess?
        var sawShutdown = false
        var sawCrash = false
        var destroyRequested = false
        var exit: MachineExit?
        var onExit: (@Sendable (String) -> Void)?
        var handles = Handles()
        /// Names of the devices that libvirt said have gone.
        var removed: Set<String> = []

        /// - Throws: when `destroy` came while the machine was being started.
        func checkWanted() throws(HypervisorError) {
            if destroyRequested { throw HypervisorError("start a virtual machine", "it was destroyed meanwhile") }
        }
    }

    /// libvirt's objects are reference counted and may be used from any thread (libvirt.org/threads.html); they are reached
    /// under the lock alone, which is what makes `@unchecked` true.
    struct Handles: @unchecked Sendable {
        var connection: virConnectPtr?
        var domain: virDomainPtr?
        var callbacks: [Int32] = []
    }

    public let configuration: MachineConfiguration
    private let root: String
    private let capabilityCache: String
    let state = Guarded(State())

    /// - Parameters:
    ///   - root: libvirt's directory for this sandbox: absolute, at most `longestRootInBytes`, made by `start` and removed
    ///     by `destroy`; QEMU's user must be able to traverse what is above it.
    ///   - capabilityCache: what libvirt learned about QEMU, shared by all sandboxes of a user; made when missing. Several
    ///     first starts at once are safe: files appear whole, by rename.
    public init(configuration: MachineConfiguration, root: String, capabilityCache: String) {
        self.configuration = configuration
        self.root = root
        self.capabilityCache = "\(capabilityCache)/\(configuration.accelerator.rawValue)"
    }

    /// The longest `root`, set by the paths of sockets in it (unix(7)).
    public static var longestRootInBytes: Int { DriverRoot.longestPathInBytes }

    /// QEMU's process, from the moment it exists; it is a child of this process.
    public var qemuPid: pid_t? { state.withLock { $0.process }?.pid }

    /// How QEMU ended; nil before it has.
    public var exit: MachineExit? { state.withLock { $0.exit } }

    /// Says once, from a thread of this type's, that QEMU has ended and was reaped, with `exit` in words; at once when it
    /// already has. Not said when `start` failed. The handler may call `destroy`.
    public func onExit(_ handler: @escaping @Sendable (String) -> Void) {
        let exit: MachineExit? = state.withLock { state in
            if state.exit == nil { state.onExit = handler }
            return state.exit
        }
        if let exit { handler("\(exit)") }
    }

    /// Starts QEMU and lets the guest run.
    /// - Parameter timings: told each step and how long it took.
    /// - Throws: `HypervisorError`; then nothing is left running, and `destroy` is not needed.
    public func start(_ timings: (String, Duration) -> Void = { _, _ in }) throws(HypervisorError) {
        let isFirst = state.withLock { state in
            defer { if state.phase == .new { state.phase = .starting } }
            return state.phase == .new
        }
        guard isFirst else { throw HypervisorError("start a virtual machine", "it was started before") }
        // On a thread of its own: what QEMU's start has to see of the file system is not for the rest of the process, and
        // mount namespaces belong to threads. libvirt's threads are started from it, and QEMU is forked from it.
        do throws(HypervisorError) {
            let steps = try Thread.run("vm-start") { () throws(HypervisorError) in try self.boot() }
            for (step, duration) in steps { timings(step, duration) }
        } catch {
            destroy()
            throw error
        }
    }

    /// Ends QEMU if it runs, and removes everything: idempotent, and safe at any moment. libvirt may make its directories
    /// below the root anew, empty, when it notes the end; they go with what is above the root when the process ends.
    public func destroy() {
        let (isOurs, process) = state.withLock { state in
            let isOurs = state.phase != .destroying && state.phase != .ended
            if isOurs {
                state.phase = .destroying
                state.destroyRequested = true
            }
            return (isOurs, state.process)
        }
        guard isOurs else {
            _ = state.wait { $0.phase == .ended ? true : nil }
            return
        }
        // SIGKILL by pidfd, not virDomainDestroy, which sends SIGTERM and looks again each 200 ms.
        process?.kill()
        if process != nil { removeRoot() }
        let handles = state.withLock { state in
            defer { state.handles = Handles() }
            return state.handles
        }
        release(handles)
        state.withLock { $0.phase = .ended }
    }

    /// - Returns: the steps and how long they took.
    private func boot() throws(HypervisorError) -> [(String, Duration)] {
        let start = Clock.monotonic
        let directory = try DriverRoot(root)
        try checkFiles()
        // Only while QEMU is being started: what others orphan is not this process's, which would never reap it.
        _ = cs_set_child_subreaper(1)
        defer { _ = cs_set_child_subreaper(0) }
        let process = QemuProcess(pidFile: directory.pidFile, emulator: configuration.emulatorPath) { [weak self] in
            self?.ended($0)
        }
        defer { process.settle() }
        try state.withLock { state throws(HypervisorError) in
            state.process = process
            try state.checkWanted()
        }
        do throws(SystemError) {
            try directory.prepare(runAs: configuration.runAs, capabilityCache: capabilityCache)
        } catch { throw HypervisorError("start a virtual machine", error) }
        // A container may not be allowed to mount. Then it depends on the machine whether libvirt can do without.
        let places = try? PrivateMounts.prepare(
            accelerator: configuration.accelerator, user: configuration.runAs, files: configuration.files,
            directory: directory.mountPoint)
        var description = configuration.with(places ?? [:])
        do throws(SystemError) {
            description.disks = try JoinedFiles.describe(description.disks, in: directory.disks)
        } catch { throw HypervisorError("start a virtual machine", error) }

        try LibvirtRuntime.start(directory: root)
        guard let connection = virConnectOpen(directory.uri) else { throw .last("open libvirt's QEMU driver") }
        let handles = Handles(connection: connection)
        try state.withLock { state throws(HypervisorError) in
            state.handles = handles
            try state.checkWanted()
        }
        let opened = Clock.monotonic
        listen(connection)
        if Accelerator.isSoftwareKVM { description.hiddenProcessorFeatures.append("arch-capabilities") }
        let xml = DomainXML.render(description, name: directory.domainName)
        guard let domain = virDomainCreateXML(connection, xml, 0) else { throw .last("create the virtual machine") }
        let handle = Handles(domain: domain)
        state.withLock { state in
            state.handles.domain = handle.domain
            if state.phase == .starting { state.phase = .running }
        }
        let created = Clock.monotonic
        let executed = min(process.executed ?? created, created)
        return [
            ("libvirt open", opened - start), ("domain create", executed - opened), ("QEMU exec", created - executed),
        ]
    }

    /// libvirt reports a missing file late and in its own words.
    private func checkFiles() throws(HypervisorError) {
        let emulator = configuration.emulatorPath
        let step = "start a virtual machine"
        if access(emulator, X_OK) != 0 {
            throw HypervisorError(step, "\(emulator) is not there", remedy: "install qemu-system-x86")
        }
        for (what, path) in [("kernel", configuration.kernel), ("initramfs", configuration.initramfs)]
        where access(path, R_OK) != 0 {
            throw HypervisorError(step, "the \(what) \(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        if configuration.disks.count > MachineConfiguration.mostDisks {
            throw HypervisorError(
                step, "\(configuration.disks.count) disks are more than the \(MachineConfiguration.mostDisks) that fit")
        }
        let (cards, most) = (configuration.networkCards.count, MachineConfiguration.mostNetworkCards)
        if cards > most { throw HypervisorError(step, "\(cards) network cards are more than the \(most) that fit") }
    }

    /// libvirt's own threads may still be removing what they made for a QEMU that has just ended, 200 ms at most, and a file
    /// that vanishes from under the walk ends it: so again, until nothing is left.
    private func removeRoot() {
        for _ in 0..<200 {
            if (try? Files.removeTree(root)) != nil { return }
            usleep(5000)
        }
    }

    private func release(_ handles: Handles) {
        guard let connection = handles.connection else { return }
        for callback in handles.callbacks { virConnectDomainEventDeregisterAny(connection, callback) }
        if let domain = handles.domain { virDomainFree(domain) }
        virConnectClose(connection)
    }

    /// From libvirt's event thread: the reason, before or after the process is gone.
    func lifecycle(_ event: Int32) {
        state.withLock { state in
            switch event {
            case Int32(VIR_DOMAIN_EVENT_SHUTDOWN.rawValue): state.sawShutdown = true
            case Int32(VIR_DOMAIN_EVENT_CRASHED.rawValue): state.sawCrash = true
            default: break
            }
        }
    }

    /// From libvirt's event thread too.
    func deviceRemoved(_ alias: String) { _ = state.withLock { $0.removed.insert(alias) } }

    private func ended(_ status: ExitStatus?) {
        let (handler, exit) = state.withLock { state in
            let exit: MachineExit =
                switch () {
                case _ where state.destroyRequested: .destroyed
                case _ where state.sawCrash: .crashed
                case _ where state.sawShutdown || status == .exited(0): .shutdown
                default: .failed(status)
                }
            state.exit = exit
            defer { state.onExit = nil }
            return (state.phase == .starting ? nil : state.onExit, exit)
        }
        handler?("\(exit)")
    }
}

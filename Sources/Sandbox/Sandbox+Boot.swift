import AgentAPI
import CSystem
import Glibc
import Hypervisor
import System
import TTRPC
import Vsock

extension Sandbox {
    /// Starts the machine with these disks and waits for the agent. A failure undoes everything.
    /// - Throws: `SandboxError`, whose sentence names the cause and the remedy as far as they are known.
    public func boot(disks: [Hypervisor.Disk]) throws(SandboxError) {
        try state.withLock { state throws(SandboxError) in
            guard case .idle = state.phase else {
                throw SandboxError(.wrongState, "the sandbox has already been started")
            }
            state.phase = .booting
        }
        try bootClaimed(disks: disks)
    }

    /// By whoever has set the phase to `booting`.
    func bootClaimed(disks: [Hypervisor.Disk]) throws(SandboxError) {
        do {
            try bootMachine(disks)
        } catch {
            stop(failure: "\(error)")
            throw error as? SandboxError ?? SandboxError(.failed, "\(error)")
        }
    }

    private func bootMachine(_ disks: [Hypervisor.Disk]) throws {
        let accelerator = configuration.accelerator.resolve()
        state.withLock { $0.accelerator = (accelerator.accelerator, accelerator.reason) }
        if accelerator.accelerator == .kvm, let obstacle = Accelerator.obstacle() {
            throw SandboxError(.failed, "KVM was asked for, but \(obstacle), or use --accelerator emulation")
        }

        /// What ends the waiting, whichever comes first.
        enum Arrival {
            case agent(FileDescriptor)
            case end(String)
        }
        let arrival = Guarded<Arrival?>(nil)
        let device = try VsockDevice(socketPath: configuration.vsockSocket)
        state.withLock { $0.device = device }
        device.listen(port: Agent.controlPort) { _ in
            // The agent dials once; whatever else in the guest tries later is refused.
            device.unlisten(port: Agent.controlPort)
            guard let (ours, devices) = try? makeSocketPair() else { return nil }
            arrival.withLock { $0 = $0 ?? .agent(ours) }
            return StreamEnds(input: devices, output: devices, onClosed: nil)
        }

        let user = SandboxConfiguration.unprivilegedUser()
        state.withLock { $0.user = user }
        if let program = configuration.virtiofsd {
            try startShareServer(program, for: user)
            try devices.prepare()
        }
        if let user { try handOver(to: user, disks) }
        var description = machineConfiguration(accelerator.accelerator, disks, user)
        description.networkCards = try networkCards()
        let machine = VirtualMachine(
            configuration: description, root: configuration.libvirtRoot,
            capabilityCache: configuration.capabilityCache)
        state.withLock { $0.machine = machine }
        machine.onExit { [weak self] reason in
            arrival.withLock { $0 = $0 ?? .end(reason) }
            self?.machineEnded(reason)
        }
        try machine.start { self.timings.record($0, $1) }

        let started = Clock.monotonic
        switch arrival.wait(timeout: configuration.bootTimeout, until: { $0 }) {
        case .agent(let descriptor):
            let client = Client(descriptor)
            try greet(client, since: started)
            state.withLock { state in
                if case .booting = state.phase { state.phase = .running(Guest(client: client, device: device)) }
            }
            client.onClose { [weak self] in self?.agentLeft() }
        case .end(let reason):
            throw bootFailure("the virtual machine ended before its agent reported in (\(reason))")
        case nil:
            throw bootFailure("the guest did not report in within \(Self.spell(configuration.bootTimeout))")
        }
        _ = try guest()
    }

    private func greet(_ client: Client, since started: Duration) throws {
        let start = Clock.monotonic
        var request = HelloRequest()
        request.version = Agent.version
        request.realtimeInNanoseconds = UInt64(Clock.realtime.nanoseconds)
        request.entropy = (0..<32).map { _ in UInt8.random(in: 0...255) }
        let response: HelloResponse
        do { response = try client.call(Agent.hello, request, timeout: configuration.bootTimeout) } catch {
            throw bootFailure("the agent answered the first call with an error: \(error)")
        }
        guard response.version == Agent.version else {
            throw SandboxError(
                .failed,
                "the guest's agent speaks version \(response.version) of the contract and this program \(Agent.version); rebuild with `make build`"
            )
        }
        // The guest's clock starts with its kernel; what came before is QEMU's and the firmware's. It is a guest's word:
        // shown, and used for nothing.
        let ready = Duration.nanoseconds(Int64(clamping: response.agentReadyInNanoseconds))
        let agent = Duration.nanoseconds(Int64(clamping: response.agentStartInNanoseconds))
        timings.record("QEMU and firmware", max(.zero, start - started - ready))
        timings.record("kernel", agent)
        timings.record("agent", max(.zero, ready - agent))
        timings.record("agent hello", Clock.monotonic - start)
        // What libvirt needed to start a machine it does not need to keep one.
        Thread.start("trim") { cs_trim_heap() }
    }

    /// Gives QEMU's user what is this sandbox's alone; layers, kernel and initramfs it only reads.
    private func handOver(to user: MachineConfiguration.User, _ disks: [Hypervisor.Disk]) throws(SystemError) {
        try Files.write(configuration.consoleLog, [])
        for path in [configuration.vsockSocket, configuration.consoleLog]
            + disks.filter({ $0.isDevice || !$0.readOnly }).map(\.path)
        {
            try syscall("chown", path) { chown(path, user.uid, user.gid) }
        }
    }

    private func machineConfiguration(
        _ accelerator: Accelerator, _ disks: [Hypervisor.Disk], _ user: MachineConfiguration.User?
    ) -> MachineConfiguration {
        var machine = MachineConfiguration(
            name: configuration.id, accelerator: accelerator, memoryInBytes: configuration.memoryInBytes,
            vcpus: configuration.vcpus, kernel: configuration.kernel, initramfs: configuration.initramfs,
            commandLine: KernelCommandLine.words, disks: disks,
            vsockSocket: configuration.vsockSocket, consoleLog: configuration.consoleLog, runAs: user)
        // What the guest frees goes back to the host at once: 6 MiB of an idle guest's 50.
        machine.balloon = true
        if configuration.virtiofsd != nil {
            machine.pluggable = true
            machine.share = Share(socket: configuration.shareSocket, tag: Agent.shareTag)
            if accelerator == .emulation { machine.commandLine += " \(KernelCommandLine.emulatedShareWord)" }
        }
        return machine
    }

    /// QEMU is gone; what waits for the guest learns it from the closed control connection.
    private func machineEnded(_ reason: String) {
        stop(failure: "the sandbox's virtual machine ended: \(reason)")
    }

    /// The control connection closed: the guest has powered off, or its agent is gone, which its kernel does not survive.
    private func agentLeft() {
        stop(failure: "the guest's agent ended; the end of its console:\n\(consoleTail())")
    }
}

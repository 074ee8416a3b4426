import CLibvirt
import System

extension VirtualMachine {
    /// Gives the running guest a disk, which finds it by its serial a moment later. QEMU opens `path` itself, as its user, with
    /// the view of the file system that it was started with.
    /// - Parameter port: a free one of the `MachineConfiguration.mostPluggedDisks`.
    /// - Throws: `HypervisorError`; then there is no such disk.
    public func plug(_ disk: Disk, port: Int) throws(HypervisorError) {
        let step = "plug in disk \(disk.serial)"
        guard configuration.pluggable, 0..<MachineConfiguration.mostPluggedDisks ~= port else {
            throw HypervisorError(step, "the virtual machine has no port \(port)")
        }
        guard disk.furtherPaths.isEmpty else { throw HypervisorError(step, "it is of several files") }
        let alias = DomainXML.alias(disk)
        _ = state.withLock { $0.removed.remove(alias) }
        try withDomain(step) { domain throws(HypervisorError) in
            let xml = DomainXML.render(disk, port: port)
            if virDomainAttachDeviceFlags(domain, xml, VIR_DOMAIN_AFFECT_LIVE.rawValue) < 0 { throw .last(step) }
        }
    }

    /// Takes a disk away and waits until QEMU has closed it, for which the guest has to let go of it.
    /// - Throws: `HypervisorError`, also when the guest did not within the time: it may still do so later.
    public func unplug(_ disk: Disk, timeout: Duration) throws(HypervisorError) {
        let step = "take away disk \(disk.serial)"
        let alias = DomainXML.alias(disk)
        try withDomain(step) { domain throws(HypervisorError) in
            if virDomainDetachDeviceAlias(domain, alias, VIR_DOMAIN_AFFECT_LIVE.rawValue) < 0 { throw .last(step) }
        }
        let isGone = state.wait(timeout: timeout) { state -> Bool? in
            state.removed.remove(alias) != nil || state.exit != nil || state.phase == .ended ? true : nil
        }
        if isGone == nil { throw HypervisorError(step, "the guest has not let go of it") }
    }

    /// With the machine's domain, which lasts as long as the call, whatever becomes of the machine.
    private func withDomain(
        _ step: String, _ body: (virDomainPtr) throws(HypervisorError) -> Void
    ) throws(HypervisorError) {
        let handles = state.withLock { state in
            if let domain = state.handles.domain, state.phase == .running { virDomainRef(domain) }
            return state.phase == .running ? state.handles : Handles()
        }
        guard let domain = handles.domain else { throw HypervisorError(step, "the virtual machine does not run") }
        defer { virDomainFree(domain) }
        try body(domain)
    }
}

import CLibvirt

extension VirtualMachine {
    /// Has libvirt say what happens to the machine.
    func listen(_ connection: virConnectPtr) {
        listen(
            connection, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
            unsafeBitCast(
                lifecycleEvent as virConnectDomainEventCallback, to: virConnectDomainEventGenericCallback.self))
        guard configuration.pluggable else { return }
        listen(
            connection, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
            unsafeBitCast(
                removalEvent as virConnectDomainEventDeviceRemovedCallback,
                to: virConnectDomainEventGenericCallback.self))
    }

    private func listen(
        _ connection: virConnectPtr, _ event: virDomainEventID,
        _ function: @escaping virConnectDomainEventGenericCallback
    ) {
        let listener = Unmanaged.passRetained(EventListener(self)).toOpaque()
        let callback = virConnectDomainEventRegisterAny(
            connection, nil, Int32(event.rawValue), function, listener, releaseListener)
        if callback < 0 { return Unmanaged<EventListener>.fromOpaque(listener).release() }
        state.withLock { $0.handles.callbacks.append(callback) }
    }
}

/// What libvirt holds: it must not keep the machine alive.
private final class EventListener: Sendable {
    private let machine: Weak
    init(_ machine: VirtualMachine) { self.machine = Weak(machine) }
    func tell(_ event: Int32) { machine.value?.lifecycle(event) }
    func tellRemoved(_ alias: String) { machine.value?.deviceRemoved(alias) }
}

/// `@unchecked` is sound: a weak reference is read atomically and never written after `init`.
private final class Weak: @unchecked Sendable {
    private(set) weak var value: VirtualMachine?
    init(_ value: VirtualMachine) { self.value = value }
}

// libvirt calls these from its own threads: at file scope they are isolated to nothing.
private func lifecycleEvent(
    _: virConnectPtr?, _: virDomainPtr?, event: Int32, detail: Int32, opaque: UnsafeMutableRawPointer?
) -> Int32 {
    if let opaque { Unmanaged<EventListener>.fromOpaque(opaque).takeUnretainedValue().tell(event) }
    return 0
}

private func removalEvent(
    _: virConnectPtr?, _: virDomainPtr?, alias: UnsafePointer<CChar>?, opaque: UnsafeMutableRawPointer?
) {
    guard let opaque, let alias else { return }
    Unmanaged<EventListener>.fromOpaque(opaque).takeUnretainedValue().tellRemoved(String(cString: alias))
}

private func releaseListener(_ opaque: UnsafeMutableRawPointer?) {
    if let opaque { Unmanaged<EventListener>.fromOpaque(opaque).release() }
}

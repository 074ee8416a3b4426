import CVsock
import Glibc
import System

/// A virtio-vsock device served by this process over vhost-user (virtio 1.2, section 5.10): no kernel module, no CID
/// that other processes could reach. Streams only. QEMU is given the socket as `-chardev socket,path=` of a
/// `vhost-user-vsock-pci`, and the guest's memory must be shared.
///
/// All work is done on one thread of its own; every callback is called there and must not block. All methods may be
/// called from any thread, callbacks included.
public final class VsockDevice: Sendable {
    /// What one guest may make this process hold.
    public struct Limits: Sendable {
        /// Connections at once; a request beyond it is reset.
        public var connections: Int
        /// What one connection buffers for a slow reader, in bytes; it is also what the guest may have under way, so a
        /// larger buffer is a faster stream. Memory is used only while a reader is slow.
        public var bufferInBytes: UInt32

        public init(connections: Int = 1024, bufferInBytes: UInt32 = 256 << 10) {
            self.connections = connections
            self.bufferInBytes = max(bufferInBytes, 4096)
        }
    }

    public typealias Accept = @Sendable (_ peerPort: UInt32) -> StreamEnds?

    /// Where the front end connects; unlinked once it has, or by `stop`.
    public let socketPath: String
    private let loop: EventLoop
    private let core: CoreHandle
    private let listeners: Listeners

    /// Listens at `socketPath` for one front end.
    /// - Parameters:
    ///   - guestCID: what the guest calls itself; 0, 1, 2 and 2^32-1 are taken by the specification.
    ///   - log: told in one line when the front end or the guest broke the protocol so that the device is of no use.
    ///   - onDisconnect: told once that the front end went away, and not after `stop`.
    /// - Throws: `SystemError`; `EINVAL` for an impossible CID.
    public init(
        socketPath: String, guestCID: UInt64 = 3, limits: Limits = .init(),
        log: @escaping @Sendable (String) -> Void = { _ in }, onDisconnect: @escaping @Sendable () -> Void = {}
    ) throws(SystemError) {
        guard guestCID > 2, guestCID < 0xFFFF_FFFF else {
            throw SystemError("vsock", "guest CID \(guestCID)", errno: EINVAL)
        }
        self.socketPath = socketPath
        let listener = try UnixSocket.listen(socketPath, backlog: 1)
        let loop = try EventLoop(name: "vsock")
        let listeners = Listeners()
        let handle = CoreHandle()
        self.loop = loop
        self.listeners = listeners
        core = handle
        loop.enqueue { cv_block_sigpipe() }
        handle.install(
            loop: loop, listener: listener, socketPath: socketPath, guestCID: guestCID, limits: limits,
            listeners: listeners, log: log, onDisconnect: onDisconnect)
        let raw = listener.raw
        do { try loop.add(raw, .readable, { _ in handle.run { $0.acceptFrontEnd() } }) } catch {
            loop.stop()
            throw error
        }
    }

    deinit { stop() }

    /// Serves the connections the guest opens to `port` of the host. - Parameter accept: called for each with the
    /// guest's port; returns what to join it to, or nil to reset it. Replaces an earlier closure for the same port.
    public func listen(port: UInt32, _ accept: @escaping Accept) { listeners.set(port, accept) }

    /// Resets requests to `port` from now on. Connections that exist stay.
    public func unlisten(port: UInt32) { listeners.set(port, nil) }

    /// A host port that was not given out before and that nobody listens at.
    public func allocatePort() -> UInt32 { listeners.allocate() }

    /// Throws away what the outputs of the connections to `port` have not taken, and lets go of them.
    public func abandonOutput(port: UInt32) {
        let core = core
        loop.enqueue { core.run { $0.abandonOutput(port: port) } }
    }

    /// Drops every connection and the front end, soon. May be called again.
    public func stop() {
        let loop = loop
        core.stop(removing: socketPath) { loop.stop() }
    }
}

/// Who serves which host port.
final class Listeners: Sendable {
    private struct State {
        var accepts: [UInt32: VsockDevice.Accept] = [:]
        /// Above what people choose by hand.
        var next: UInt32 = 0x1_0000
    }
    private let state = Guarded(State())

    func set(_ port: UInt32, _ accept: VsockDevice.Accept?) { state.withLock { $0.accepts[port] = accept } }

    func accept(for port: UInt32) -> VsockDevice.Accept? { state.withLock { $0.accepts[port] } }

    func allocate() -> UInt32 {
        state.withLock { state in
            repeat {
                state.next = state.next >= 0xFFFF_FFF0 ? 0x1_0000 : state.next + 1
            } while state.accepts[state.next] != nil
            return state.next
        }
    }
}

/// How closures reach the device's state. Only the loop's thread does, so the lock is never waited for; it is there to
/// make the sharing sound. Callbacks run while it is held, and none of the public methods takes it on the caller's
/// thread.
final class CoreHandle: Sendable {
    private let core = Guarded<DeviceCore?>(nil)
    private let loop = Guarded<EventLoop?>(nil)

    func install(
        loop: EventLoop, listener: FileDescriptor, socketPath: String, guestCID: UInt64, limits: VsockDevice.Limits,
        listeners: Listeners, log: @escaping @Sendable (String) -> Void, onDisconnect: @escaping @Sendable () -> Void
    ) {
        self.loop.withLock { $0 = loop }
        core.withLock {
            $0 = DeviceCore(
                handle: self, loop: loop, listener: listener, socketPath: socketPath, guestCID: guestCID,
                limits: limits, listeners: listeners, log: log, onDisconnect: onDisconnect)
        }
    }

    /// On the loop's thread. Does nothing once the device was stopped.
    func run(_ body: (DeviceCore) -> Void) {
        core.withLock { core in
            if let core { body(core) }
        }
    }

    func stop(removing path: String, then done: @escaping @Sendable () -> Void) {
        let loop = loop.withLock { state in
            defer { state = nil }
            return state
        }
        guard let loop else { return }
        unlink(path)
        loop.enqueue {
            self.core.withLock { core in
                core?.tearDown()
                core = nil
            }
            done()
        }
    }
}

import Glibc
import System

/// The device's state and what concerns the device as a whole. Used on the loop's thread alone. What comes from the
/// front end is in `DeviceCore+FrontEnd`, from the guest in `+Transmit`, to the guest in `+Receive`, the host's
/// descriptors in `+Streams`.
final class DeviceCore {
    let handle: CoreHandle
    let loop: EventLoop
    let guestCID: UInt64
    let limits: VsockDevice.Limits
    let listeners: Listeners
    let log: @Sendable (String) -> Void

    private var listener: FileDescriptor?
    private let socketPath: String
    private var onDisconnect: (@Sendable () -> Void)?

    var frontEnd: VhostUserSocket?
    var features: VhostUser.Features = []
    var protocolFeatures: VhostUser.ProtocolFeatures = []
    var memory = GuestMemory()
    /// Filled by the device, emptied by the guest; the other way round. (The event queue is QEMU's.)
    let receiveQueue = Virtqueue()
    let transmitQueue = Virtqueue()
    /// What GET_VRING_BASE last said, by queue: a ring that starts elsewhere belongs to a guest that was reset.
    var reportedBase: [UInt16?] = [nil, nil]
    var isBroken = false

    let transmitChain = DescriptorChain()
    let receiveChain = DescriptorChain()
    /// Every connection with something left to do, by its id.
    var connections: [UInt64: Connection] = [:]
    /// Those the guest knows.
    var byKey: [ConnectionKey: Connection] = [:]
    var nextID: UInt64 = 1
    /// Connections with something for the guest, first come first served, and resets for those that do not exist.
    var sendQueue = Queue<Connection>()
    var resets = Queue<PacketHeader>()
    var transmitIsScheduled = false
    var receiveIsScheduled = false

    init(
        handle: CoreHandle, loop: EventLoop, listener: FileDescriptor, socketPath: String, guestCID: UInt64,
        limits: VsockDevice.Limits, listeners: Listeners, log: @escaping @Sendable (String) -> Void,
        onDisconnect: @escaping @Sendable () -> Void
    ) {
        self.handle = handle
        self.loop = loop
        self.listener = listener
        self.socketPath = socketPath
        self.guestCID = guestCID
        self.limits = limits
        self.listeners = listeners
        self.log = log
        self.onDisconnect = onDisconnect
    }

    func queue(_ index: UInt32) -> Virtqueue? {
        switch index {
        case 0: receiveQueue
        case 1: transmitQueue
        default: nil
        }
    }

    // MARK: The front end's connection

    func acceptFrontEnd() {
        guard let listener, frontEnd == nil else { return }
        let socket: VhostUserSocket
        do { socket = try VhostUserSocket(try UnixSocket.accept(listener)) } catch {
            if error.errno != EAGAIN && error.errno != ECONNABORTED { log("vsock: \(error)") }
            return
        }
        loop.remove(listener.raw)
        self.listener = nil
        unlink(socketPath)
        frontEnd = socket
        let handle = handle
        do {
            try loop.add(socket.descriptor.raw, .readable) { _ in handle.run { $0.readFrontEnd() } }
        } catch {
            log("vsock: \(error)")
            loseFrontEnd()
        }
    }

    /// The front end closed its connection, or is not to be talked to any more.
    func loseFrontEnd() {
        guard let socket = frontEnd else { return }
        loop.remove(socket.descriptor.raw)
        frontEnd = nil
        takeLast(1)
        for index in 0..<2 { stopQueue(index) }
        memory = GuestMemory()
        dropConnections(.deviceGone)
        let report = onDisconnect
        onDisconnect = nil
        report?()
    }

    // MARK: Queues

    func startQueue(_ index: Int) {
        guard let queue = queue(UInt32(index)), !queue.isRunning, let kick = queue.kick, queue.isEnabled, !isBroken
        else { return }
        if let reported = reportedBase[index], reported != queue.nextAvailable { dropConnections(.deviceGone) }
        reportedBase[index] = nil
        let handle = handle
        do {
            try queue.start(in: memory, features: features)
            try loop.add(kick.raw, .readable) { _ in handle.run { $0.kicked(index) } }
        } catch let error as RingError {
            breakDevice("\(error)")
        } catch {
            breakDevice("the queue's notifications cannot be waited for: \(error)")
        }
        // What the guest did before the queue was watched.
        kicked(index)
    }

    /// Takes what the guest has already handed over before its ring is let go of: its last words before it powered off.
    func takeLast(_ index: Int) {
        guard index == 1, transmitQueue.isRunning else { return }
        transmitIsScheduled = false
        transmit()
    }

    func stopQueue(_ index: Int) {
        guard let queue = queue(UInt32(index)) else { return }
        if let kick = queue.kick { loop.remove(kick.raw) }
        queue.stop()
    }

    func kicked(_ index: Int) {
        guard let queue = queue(UInt32(index)) else { return }
        queue.drainKick()
        guard queue.isRunning else { return }
        if index == 1 { transmit() }
        receive()
    }

    /// The guest broke its rings: they are left alone until it resets the device.
    func breakDevice(_ reason: String) {
        guard !isBroken else { return }
        isBroken = true
        log("vsock: the guest's queues are unusable: \(reason)")
        for index in 0..<2 { stopQueue(index) }
        dropConnections(.deviceGone)
    }

    /// After the memory was mapped anew.
    func relocateQueues() {
        for queue in [receiveQueue, transmitQueue] where queue.isRunning {
            do { try queue.locate(in: memory) } catch { breakDevice("\(error)") }
        }
    }

    // MARK: The end

    /// The guest forgets all connections. What it sent before is still handed over.
    func dropConnections(_ reason: StreamEnds.Reason) {
        resets = Queue()
        sendQueue = Queue()
        for connection in Array(connections.values) {
            connection.isQueued = false
            detach(connection, reason)
        }
    }

    /// Lets go of everything at once.
    func tearDown() {
        if let listener { loop.remove(listener.raw) }
        listener = nil
        onDisconnect = nil
        for index in 0..<2 { stopQueue(index) }
        for connection in Array(connections.values) {
            connection.note(.stopped)
            endToHost(connection)
            endToGuest(connection)
            settle(connection)
        }
        loseFrontEnd()
    }
}

/// First in, first out, without moving what is in it at each step.
struct Queue<Element> {
    private var items: [Element?] = []
    private var head = 0

    var count: Int { items.count - head }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ element: Element) { items.append(element) }

    mutating func popFirst() -> Element? {
        guard head < items.count else { return nil }
        defer {
            items[head] = nil
            head += 1
            if head == items.count {
                items.removeAll(keepingCapacity: true)
                head = 0
            } else if head >= 256, head * 2 >= items.count {
                items.removeFirst(head)
                head = 0
            }
        }
        return items[head]
    }
}

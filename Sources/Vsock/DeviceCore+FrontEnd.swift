import Glibc
import System

/// What the front end asks for.
extension DeviceCore {
    private struct Refusal: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }

    func readFrontEnd() {
        guard let socket = frontEnd else { return }
        do {
            // One at a time: what the guest notified before is looked at before the next.
            if let message = try socket.next() { try handle(message, socket) }
        } catch let refusal as Refusal {
            log("vsock: QEMU sent what this device cannot follow: \(refusal.reason)")
            loseFrontEnd()
        } catch VhostUserSocket.Failure.malformed(let reason) {
            log("vsock: QEMU sent what this device cannot follow: \(reason)")
            loseFrontEnd()
        } catch {
            loseFrontEnd()
        }
    }

    /// Handles one message. Requests with an answer of their own are answered; the others are acknowledged if asked.
    private func handle(_ message: VhostUserSocket.Message, _ socket: VhostUserSocket) throws {
        guard let request = VhostUser.Request(rawValue: message.header.request) else {
            throw Refusal("request \(message.header.request)")
        }
        if let answer = try answer(request, message) {
            try socket.reply(to: message.header.request, answer)
            return
        }
        let failure = try perform(request, message)
        if let failure { log("vsock: \(failure)") }
        if message.needsReply, protocolFeatures.contains(.replyAcknowledge) {
            try socket.reply(to: message.header.request, Self.bytes(UInt64(failure == nil ? 0 : 1)))
        }
    }

    private static func bytes(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(host: value)
        return bytes
    }

    private static func number(_ message: VhostUserSocket.Message) throws -> UInt64 {
        var reader = PayloadReader(message.payload)
        guard let value: UInt64 = reader.integer() else { throw Refusal("a message of \(message.payload.count) bytes") }
        return value
    }

    /// An index and a number, as most messages about rings carry them.
    private func ringState(_ message: VhostUserSocket.Message) throws -> (queue: Virtqueue, index: Int, value: UInt32) {
        var reader = PayloadReader(message.payload)
        guard let index: UInt32 = reader.integer(), let value: UInt32 = reader.integer(), let queue = queue(index)
        else {
            throw Refusal("a message about a queue that does not exist")
        }
        return (queue, Int(index), value)
    }

    // MARK: Questions

    private func answer(_ request: VhostUser.Request, _ message: VhostUserSocket.Message) throws -> [UInt8]? {
        switch request {
        case .getFeatures: return Self.bytes(VhostUser.Features.offered.rawValue)
        case .getProtocolFeatures: return Self.bytes(VhostUser.ProtocolFeatures.offered.rawValue)
        case .getMaximumMemorySlots: return Self.bytes(UInt64(VhostUser.maximumMemorySlots))
        case .getVringBase:
            let (queue, index, _) = try ringState(message)
            takeLast(index)
            stopQueue(index)
            queue.kick = nil
            queue.call = nil
            reportedBase[index] = queue.nextAvailable
            var bytes: [UInt8] = []
            bytes.append(host: UInt32(index))
            bytes.append(host: UInt32(queue.nextAvailable))
            return bytes
        case .getConfig: return try configuration(message)
        default: return nil
        }
    }

    /// `struct virtio_vsock_config`: the guest's CID, 64 bits (virtio 1.2, section 5.10.4).
    private func configuration(_ message: VhostUserSocket.Message) throws -> [UInt8] {
        var reader = PayloadReader(message.payload)
        guard let offset: UInt32 = reader.integer(), let size: UInt32 = reader.integer(),
            let flags: UInt32 = reader.integer(), size <= 256, offset <= 256
        else { throw Refusal("a question for impossible configuration") }
        var bytes: [UInt8] = []
        bytes.append(host: offset)
        bytes.append(host: size)
        bytes.append(host: flags)
        let space = Self.bytes(guestCID.littleEndian)
        for index in Int(offset)..<Int(offset + size) { bytes.append(index < space.count ? space[index] : 0) }
        return bytes
    }

    // MARK: Orders

    /// - Returns: why it failed, where the front end can go on without it.
    private func perform(_ request: VhostUser.Request, _ message: VhostUserSocket.Message) throws -> String? {
        switch request {
        case .setFeatures: try setFeatures(Self.number(message))
        case .setProtocolFeatures:
            let asked = VhostUser.ProtocolFeatures(rawValue: try Self.number(message))
            guard asked.isSubset(of: .offered) else { throw Refusal("protocol features that were not offered") }
            protocolFeatures = asked
        case .setMemoryTable: try setMemoryTable(message)
        case .addMemoryRegion: return try addMemoryRegion(message)
        case .removeMemoryRegion: return try removeMemoryRegion(message)
        case .setVringSize:
            let (queue, _, size) = try ringState(message)
            guard !queue.isRunning else { throw Refusal("a size for a queue that runs") }
            do { try queue.setSize(size) } catch { throw Refusal("\(error)") }
        case .setVringBase:
            let (queue, _, base) = try ringState(message)
            guard !queue.isRunning else { throw Refusal("a base for a queue that runs") }
            queue.setBase(UInt16(truncatingIfNeeded: base))
        case .setVringAddresses: try setVringAddresses(message)
        case .setVringEnable:
            let (queue, index, value) = try ringState(message)
            queue.isEnabled = value == 1
            if queue.isEnabled { startQueue(index) } else { stopQueue(index) }
        case .setVringKick: try setVringKick(message)
        case .setVringCall:
            let (queue, _, descriptor) = try ringDescriptor(message)
            queue.call = descriptor
            // The old descriptor may have swallowed an interrupt; one too many does no harm.
            if queue.isRunning { queue.interrupt() }
        case .setOwner, .resetOwner, .setVringError, .setConfig: break
        case .getFeatures, .getProtocolFeatures, .getMaximumMemorySlots, .getVringBase, .getConfig: break
        }
        return nil
    }

    private func setFeatures(_ value: UInt64) throws {
        let asked = VhostUser.Features(rawValue: value)
        guard asked.isSubset(of: .offered) else { throw Refusal("features that were not offered") }
        features = asked
        // Without the protocol's features there is no message to enable a ring with.
        if !asked.contains(.protocolFeatures) {
            receiveQueue.isEnabled = true
            transmitQueue.isEnabled = true
        }
    }

    private func setMemoryTable(_ message: VhostUserSocket.Message) throws {
        var reader = PayloadReader(message.payload)
        guard let count: UInt32 = reader.integer(), let _: UInt32 = reader.integer(),
            count <= VhostUser.maximumTableRegions, Int(count) == message.descriptors.count
        else { throw Refusal("an impossible memory table") }
        var fresh = GuestMemory()
        for descriptor in message.descriptors {
            guard let region = reader.memoryRegion() else { throw Refusal("an impossible memory table") }
            do { try fresh.add(region, descriptor) } catch { throw Refusal("\(error)") }
        }
        memory = fresh
        relocateQueues()
    }

    private func addMemoryRegion(_ message: VhostUserSocket.Message) throws -> String? {
        var reader = PayloadReader(message.payload)
        guard let _: UInt64 = reader.integer(), let region = reader.memoryRegion(), message.descriptors.count == 1
        else {
            throw Refusal("an impossible memory region")
        }
        do { try memory.add(region, message.descriptors[0]) } catch { return "\(error)" }
        return nil
    }

    private func removeMemoryRegion(_ message: VhostUserSocket.Message) throws -> String? {
        var reader = PayloadReader(message.payload)
        guard let _: UInt64 = reader.integer(), let region = reader.memoryRegion() else {
            throw Refusal("an impossible memory region")
        }
        guard memory.remove(region) else { return "QEMU removed memory that is not there" }
        relocateQueues()
        return nil
    }

    private func setVringAddresses(_ message: VhostUserSocket.Message) throws {
        var reader = PayloadReader(message.payload)
        guard let addresses = reader.vringAddresses(), let queue = queue(addresses.index) else {
            throw Refusal("addresses for a queue that does not exist")
        }
        queue.addresses = addresses
        guard queue.isRunning else { return }
        do { try queue.locate(in: memory) } catch { breakDevice("\(error)") }
    }

    /// A queue's number with bit 8 set where no descriptor comes along.
    private func ringDescriptor(
        _ message: VhostUserSocket.Message
    ) throws -> (queue: Virtqueue, index: Int, descriptor: FileDescriptor?) {
        let value = try Self.number(message)
        guard let queue = queue(UInt32(value & 0xFF)) else {
            throw Refusal("a descriptor for a queue that does not exist")
        }
        let descriptor = value & 0x100 == 0 ? message.descriptors.first : nil
        // It is an eventfd, non-blocking in QEMU too; anything else must not be able to stop this thread.
        if let descriptor { try descriptor.setNonBlocking() }
        return (queue, Int(value & 0xFF), descriptor)
    }

    private func setVringKick(_ message: VhostUserSocket.Message) throws {
        let (queue, index, descriptor) = try ringDescriptor(message)
        guard let descriptor else { throw Refusal("a queue without notifications") }
        stopQueue(index)
        // Both queues stopped and set up again is how a guest's new driver gets a broken device back.
        if isBroken, !receiveQueue.isRunning, !transmitQueue.isRunning { isBroken = false }
        queue.kick = descriptor
        startQueue(index)
    }
}

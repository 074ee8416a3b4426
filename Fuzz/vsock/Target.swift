import Glibc
import System
import Vsock
import VsockDriver

/// The device under test; made again when it has given up on its front end, and now and then in any case.
final class Target {
    private static let runsPerDevice = 50

    private var device: VsockDevice?
    private var driver: GuestDriver?
    private var runs = 0
    private(set) var devices = 0
    private let opened = Guarded(0)
    /// Ends of pipes nobody reads: their streams fill up.
    private let stuck = Guarded<[FileDescriptor]>([])

    var streams: Int { opened.withLock { $0 } }

    func run(_ input: [UInt8]) throws {
        if runs % Self.runsPerDevice == 0 { driver = nil }
        runs += 1
        let driver = try self.driver ?? make()
        self.driver = driver
        var program = Program(input, driver)
        do { try program.run() } catch is FrontEnd.Closed { self.driver = nil }
        // Rings that were spoiled are mended for the next input, by the way a guest's reset takes.
        if self.driver != nil {
            do {
                try driver.shareMemory()
                for index in 0..<2 { _ = try driver.stopRing(index) }
                try driver.startRings()
                try driver.frontEnd.synchronize()
            } catch is FrontEnd.Closed { self.driver = nil }
        }
    }

    private func make() throws -> GuestDriver {
        device?.stop()
        stuck.withLock { $0 = [] }
        devices += 1
        let path = "/tmp/FuzzVsock.\(getpid()).\(devices)"
        let device = try VsockDevice(socketPath: path, limits: .init(connections: 16, bufferInBytes: 64 << 10))
        self.device = device
        let opened = opened
        let stuck = stuck
        for port in 0..<8 as Range<UInt32> {
            device.listen(port: port) { _ in
                opened.withLock { $0 += 1 }
                return try? Self.ends(port, stuck)
            }
        }
        return try GuestDriver(socketPath: path)
    }

    private static func ends(_ port: UInt32, _ stuck: Guarded<[FileDescriptor]>) throws -> StreamEnds? {
        switch port {
        case 0: return nil
        case 1: return StreamEnds(input: nil, output: nil)
        case 2:
            return StreamEnds(
                input: try .open("/dev/zero", O_RDONLY), output: try .open("/dev/null", O_WRONLY))
        case 3:
            // Nobody at the other end of either.
            return StreamEnds(input: try makePipe().read, output: try makePipe().write)
        case 4:
            let (ours, theirs) = try makeSocketPair()
            stuck.withLock { $0.append(theirs) }
            return StreamEnds(input: ours, output: ours)
        case 5:
            // Answers itself.
            let (read, write) = try makePipe()
            return StreamEnds(input: read, output: write)
        case 6: return StreamEnds(input: nil, output: try .open("/dev/full", O_WRONLY))
        default: return StreamEnds(input: try .open("/proc/self/maps", O_RDONLY), output: nil)
        }
    }
}

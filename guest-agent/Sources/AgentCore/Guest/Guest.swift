import AgentAPI
import CAgent
import Glibc
import System

/// The guest's first process.
enum Guest {
    /// How long the host may keep refusing the control connection once there is a vsock device.
    private static let dialTimeout = Duration.seconds(10)

    static func run() -> Never {
        let start = Clock.monotonic
        do {
            // Before any thread is started: all of them inherit the mask.
            AgentProcess.prepareSignals()
            let program = try FileDescriptor.open("/proc/self/exe", ca_o_path)
            try GuestFilesystems.mountAll()
            if commandLineWords().contains(Agent.powerOffWord) { powerOff() }
            try syscall("loopback") { ca_loopback_up() }
            try Cgroup.enableControllers()
            reportSmallPages()
            let events = try DeviceEvents()
            let agent = try AgentProcess(transport: .vsock, program: program, events: events, start: start)
            let control = try dial(events)
            agent.serve(control)
        } catch { Log.error("\(error)") }
        // Whether the host has gone or the guest could not start: nobody would ever use this guest.
        powerOff()
    }

    /// Free memory goes back to the host in pieces of 32 KiB and more, where the kernel by itself would keep what is
    /// smaller than 2 MiB: 5 MiB of an idle guest's 40. The balloon's driver sets its own when it is found, so this comes
    /// after. Kernels without it keep more.
    private static func reportSmallPages() {
        try? Files.write("/sys/module/page_reporting/parameters/page_reporting_order", "3")
    }

    /// Dials the host as soon as the device is there, which may be long after boot.
    private static func dial(_ events: DeviceEvents) throws -> FileDescriptor {
        var lastError: SystemError?
        func attempt() -> FileDescriptor? {
            do { return try Transport.vsock.dial(Agent.controlPort) } catch {
                lastError = error
                return error.errno == ENODEV || error.errno == EADDRNOTAVAIL ? nil : FileDescriptor(-1)
            }
        }
        // Until there is a device there is nothing to give up for.
        let first = events.wait(timeout: nil, until: attempt)
        if let first, first.raw >= 0 { return first }
        let deadline = Clock.monotonic + dialTimeout
        while Clock.monotonic < deadline {
            usleep(20_000)
            if let connection = attempt(), connection.raw >= 0 { return connection }
        }
        throw lastError ?? SystemError("connect", "the host", errno: ETIMEDOUT)
    }

    private static func commandLineWords() -> [String] {
        let text = (try? Files.readText("/proc/cmdline", limit: 65536)) ?? ""
        return text.split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init)
    }

    static func powerOff() -> Never {
        _ = ca_power_off()
        Log.error("\(SystemError("reboot"))")
        // A first process that ends makes the kernel panic, which ends the guest too.
        _exit(1)
    }
}

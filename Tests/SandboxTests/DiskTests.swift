import AgentAPI
import Glibc
import Hypervisor
import System
import Testing

@testable import Sandbox

@Suite struct DiskTests {
    private static func rule(
        _ allow: Bool, _ type: String = "", _ major: Int64? = nil, _ minor: Int64? = nil, _ access: String = ""
    ) -> DeviceRule {
        var rule = DeviceRule()
        (rule.allow, rule.type, rule.major, rule.minor, rule.access) = (allow, type, major, minor, access)
        return rule
    }

    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var access: DeviceAccess
        var rules: [DeviceRule]
        init(_ name: String, _ access: DeviceAccess, _ rules: [DeviceRule]) {
            (testDescription, self.access, self.rules) = (name, access, rules)
        }
    }

    static let cases = [
        Case("without rules", [.read, .write], []),
        Case("nothing that fits", [], [rule(true, "b", 8, 1)]),
        Case("all denied", [], [rule(false)]),
        Case("by number", [.read, .write], [rule(false), rule(true, "b", 7, 3, "rwm")]),
        Case("to read", [.read], [rule(false), rule(true, "b", 7, 3, "rm")]),
        Case("by major number", [.write], [rule(false), rule(true, "b", 7, nil, "w")]),
        Case("any number", [.read], [rule(false), rule(true, "b", -1, -1, "r")]),
        Case("making nodes is not opening", [], [rule(false), rule(true, "b", nil, nil, "m")]),
        Case("a character device", [], [rule(false), rule(true, "c", 7, 3)]),
        Case("later rules win", [.read], [rule(true), rule(false, "b", 7, 3, "w")]),
        Case("for each letter", [.read, .write], [rule(true, "b", 7, 3, "r"), rule(true, "b", 7, 3, "w")]),
    ]

    @Test(arguments: cases) func access(_ one: Case) throws {
        #expect(DeviceAccess(to: try #require(DeviceNumber(major: 7, minor: 3)), one.rules) == one.access)
    }

    @Test func rulesOfADisk() {
        let rules = ([.read] as DeviceAccess).rules(disk: "host-1")
        #expect(rules.map(\.allow) == [false, true] && rules.map(\.access) == ["rw", "rm"])
        #expect(rules.allSatisfy { $0.disk == "host-1" && $0.type == "b" })
    }

    /// A machine that notes what it is asked for.
    private final class Machine: Sendable {
        let log = Guarded<[String]>([])
        let fails = Guarded(false)
        private let made = Guarded(0)
        struct Failure: Error {}

        var calls: PluggedDisks.Machine {
            PluggedDisks.Machine(
                plug: { disk, port in
                    if self.fails.withLock({ $0 }) { throw Failure() }
                    self.log.withLock { $0.append("plug \(disk.serial) \(port)") }
                },
                unplug: { disk in
                    if self.fails.withLock({ $0 }) { throw Failure() }
                    self.log.withLock { $0.append("unplug \(disk.serial)") }
                },
                forget: { disk in self.log.withLock { $0.append("forget \(disk.serial)") } })
        }

        func add(
            _ disks: PluggedDisks, _ minor: Int64, readOnly: Bool = false, for container: String
        ) throws -> Hypervisor.Disk {
            try disks.add(DeviceNumber(major: 7, minor: minor), readOnly: readOnly, for: container, calls) {
                let number = made.withLock { number in
                    defer { number += 1 }
                    return number
                }
                return Hypervisor.Disk(path: "/d/\(number)", readOnly: readOnly, serial: "host-\(number)")
            }
        }

        var said: [String] {
            log.withLock { log in
                defer { log = [] }
                return log
            }
        }
    }

    @Test func aDeviceIsPluggedInOnceAndStaysForItsLastUser() throws {
        let (machine, disks) = (Machine(), PluggedDisks())
        #expect(try machine.add(disks, 1, for: "a").serial == "host-0")
        #expect(try machine.add(disks, 2, for: "a").serial == "host-1")
        #expect(try machine.add(disks, 1, for: "b").serial == "host-0")
        #expect(machine.said == ["plug host-0 0", "plug host-1 1"])
        #expect(disks.release(by: "a", machine.calls) == nil)
        #expect(machine.said == ["unplug host-1", "forget host-1"])
        #expect(!disks.has("a") && disks.has("b"))
        #expect(disks.release(by: "b", machine.calls) == nil && disks.release(by: "b", machine.calls) == nil)
        #expect(machine.said == ["unplug host-0", "forget host-0"])
        // Its port is free again, its name is not.
        #expect(try machine.add(disks, 1, for: "c").serial == "host-2")
        #expect(machine.said == ["plug host-2 0"])
    }

    /// A disk that may be written is one that may be read; the other way round it is not.
    @Test func readOnly() throws {
        let (machine, disks) = (Machine(), PluggedDisks())
        #expect(try machine.add(disks, 1, readOnly: true, for: "a").readOnly)
        #expect(try !machine.add(disks, 1, for: "b").readOnly)
        #expect(try machine.add(disks, 1, readOnly: true, for: "c").serial == "host-0")
        #expect(machine.said == ["plug host-0 0", "plug host-1 1"])
    }

    @Test func whatCannotBePluggedInIsForgotten() throws {
        let (machine, disks) = (Machine(), PluggedDisks())
        machine.fails.withLock { $0 = true }
        #expect(throws: Machine.Failure.self) { try machine.add(disks, 1, for: "a") }
        #expect(machine.said == ["forget host-0"] && !disks.has("a"))
    }

    /// The guest holds it: nobody else gets it, nor its port.
    @Test func whatCannotBeTakenAwayStays() throws {
        let (machine, disks) = (Machine(), PluggedDisks())
        _ = try machine.add(disks, 1, for: "a")
        machine.fails.withLock { $0 = true }
        #expect(disks.release(by: "a", machine.calls) is Machine.Failure)
        machine.fails.withLock { $0 = false }
        _ = try machine.add(disks, 1, for: "b")
        #expect(machine.said == ["plug host-0 0", "plug host-1 1"])
    }

    @Test func thereAreSoManyPorts() throws {
        let (machine, disks) = (Machine(), PluggedDisks())
        for number in 0..<MachineConfiguration.mostPluggedDisks { _ = try machine.add(disks, Int64(number), for: "a") }
        let error = #expect(throws: SandboxError.self) { try machine.add(disks, 99, for: "b") }
        #expect(error?.description.contains("30 disks") == true)
        #expect(try machine.add(disks, 3, for: "b").serial == "host-3", "one that is there needs no port")
    }

    @Test(arguments: [(7, 3, 0x703), (259, 1_048_575, 0xfff1_03ff), (4096, 0, 0x1000_0000_0000), (0, 256, 0x100000)])
    func numbers(_ major: Int64, _ minor: Int64, _ raw: UInt64) throws {
        let number = try #require(DeviceNumber(major: major, minor: minor))
        #expect(UInt64(number.raw) == raw && DeviceNumber(dev_t(raw)) == number)
        #expect(number.description == "\(major):\(minor)")
    }

    @Test(arguments: [(-1, 0), (0, -1), (1 << 32, 0)])
    func noNumbers(_ major: Int64, _ minor: Int64) { #expect(DeviceNumber(major: major, minor: minor) == nil) }

    /// Without a device there is no disk, and nothing is left of the attempt.
    @Test(.enabled(if: geteuid() == 0)) func aDeviceThatTheHostHasNot() throws {
        let directory = "/tmp/cloister-disks-\(getpid())"
        let devices = HostDevices(directory)
        defer { devices.release() }
        let number = try #require(DeviceNumber(major: 251, minor: 77))
        let error = #expect(throws: SystemError.self) {
            try devices.openableDisk(number, readOnly: false, serial: "host-0")
        }
        #expect(error?.errno == ENXIO && !Files.exists("\(directory)/host-0"))
    }
}

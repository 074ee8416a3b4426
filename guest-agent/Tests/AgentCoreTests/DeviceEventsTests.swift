import Glibc
import System
import Testing

@testable import AgentCore

@Suite struct DeviceEventsTests {
    @Test func whatIsThereIsNotWaitedFor() throws {
        var asked = 0
        let found = try DeviceEvents().wait(timeout: nil) { () -> Int? in
            asked += 1
            return 1
        }
        #expect(found == 1 && asked == 1)
    }

    /// One that comes while it is looked for, too: the kernel is asked for each in the midst of the look before it.
    @Test(.enabled(if: geteuid() == 0, "asking for an event takes root")) func eachEventIsAReasonToLookAgain() throws {
        var asked = 0
        let found = try DeviceEvents().wait(timeout: .seconds(30)) { () -> Int? in
            asked += 1
            if asked == 3 { return asked }
            #expect(throws: Never.self) { try Files.write("/sys/class/mem/null/uevent", "change") }
            return nil
        }
        #expect(found == 3)
    }

    @Test func theTimeIsUp() throws {
        let start = Clock.monotonic
        #expect(try DeviceEvents().wait(timeout: .milliseconds(50)) { () -> Int? in nil } == nil)
        #expect(Clock.monotonic - start >= .milliseconds(50))
    }
}

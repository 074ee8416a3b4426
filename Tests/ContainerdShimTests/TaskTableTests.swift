import Glibc
import Sandbox
import System
import Testing

@testable import ContainerdShim

@Suite struct TaskTableTests {
    /// Creates a container that `mayEnd` lets go, and notes what it was told.
    private final class Creation: Sendable {
        private let told = Guarded<Bool?>(nil)
        private let mayEnd = Guarded<Bool?>(nil)
        private let ended = Guarded(false)

        init(_ id: String, in table: TaskTable) {
            Thread.start("creation") { [self] in
                try? table.creating { isFirst in
                    let entry = try table.add(TaskName(id))
                    told.withLock { $0 = isFirst }
                    if mayEnd.wait(until: { $0 }) == true {
                        entry.created(TaskStdio(), input: nil)
                    } else {
                        table.remove(TaskName(id))
                    }
                }
                ended.withLock { $0 = true }
            }
        }

        /// nil when it has not begun.
        var wasFirst: Bool? { told.withLock { $0 } }

        func begun() -> Bool? { told.wait(timeout: .seconds(10)) { $0 } }

        func end(succeeds: Bool) {
            mayEnd.withLock { $0 = succeeds }
            _ = ended.wait(timeout: .seconds(10)) { $0 ? true : nil }
        }
    }

    @Test func theOthersWaitForTheFirst() throws {
        let table = TaskTable()
        let a = Creation("a", in: table)
        #expect(a.begun() == true)
        let others = [Creation("b", in: table), Creation("c", in: table)]
        usleep(50_000)
        #expect(others.allSatisfy { $0.wasFirst == nil })
        a.end(succeeds: true)
        // At once, now.
        #expect(others.map { $0.begun() } == [false, false])
        for other in others { other.end(succeeds: true) }
    }

    @Test func whenTheFirstFailsAnotherIs() throws {
        let table = TaskTable()
        let a = Creation("a", in: table)
        #expect(a.begun() == true)
        let b = Creation("b", in: table)
        usleep(20_000)
        #expect(b.wasFirst == nil)
        a.end(succeeds: false)
        #expect(b.begun() == true)
        b.end(succeeds: true)
        // When all are gone, the next is a first again.
        table.remove(TaskName("b"))
        let c = Creation("c", in: table)
        #expect(c.begun() == true)
        c.end(succeeds: true)
    }

    @Test func anEndIsKnownOnceItHasBeenPublished() throws {
        let entry = TaskEntry()
        // Nobody publishes it.
        entry.waitUntilEndIsKnown()
        let (order, mayPublish) = (Guarded<[String]>([]), Guarded(false))
        entry.publishEnd {
            _ = mayPublish.wait { $0 ? true : nil }
            order.withLock { $0.append("exit") }
        }
        Thread.start("delete") {
            entry.waitUntilEndIsKnown()
            order.withLock { $0.append("delete") }
        }
        usleep(20_000)
        #expect(order.withLock { $0 } == [])
        mayPublish.withLock { $0 = true }
        #expect(order.wait(timeout: .seconds(10)) { $0.count == 2 ? $0 : nil } == ["exit", "delete"])
    }
}

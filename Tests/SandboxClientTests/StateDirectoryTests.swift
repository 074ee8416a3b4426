import Glibc
import System
import Testing

@testable import SandboxClient

@Suite struct StateDirectoryTests {
    /// Each claim sweeps what crashes left behind, and must not take what another is just making for such.
    @Test func claimsAtTheSameMomentAllSucceed() throws {
        let base = "/tmp/cloister-claims-\(getpid())"
        defer { try? Files.removeTree(base) }
        let failures = Guarded<[String]>([])
        let running = Guarded(8)
        for worker in 0..<8 {
            Thread.start("claim") {
                for turn in 0..<100 {
                    do {
                        let claim = try StateDirectory.claim("\(worker)-\(turn)", in: base)
                        if !Files.exists("\(claim.path)/lock") { failures.withLock { $0.append("\(claim.path) went") } }
                        try Files.removeTree(claim.path)
                    } catch { failures.withLock { $0.append("\(error)") } }
                }
                running.withLock { $0 -= 1 }
            }
        }
        running.wait { $0 == 0 ? () : nil }
        #expect(failures.withLock { $0 }.isEmpty)
    }
}

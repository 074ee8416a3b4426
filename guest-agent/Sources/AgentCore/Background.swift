import Glibc
import System

/// Work done by a thread of its own while the caller does something else.
final class Background<Value: Sendable>: Sendable {
    private let outcome = Guarded<Result<Value, any Error>?>(nil)

    init(_ name: String, _ body: @escaping @Sendable () throws -> Value) {
        let outcome = outcome
        Thread.start(name) {
            let result = Result { try body() }
            outcome.withLock { $0 = result }
        }
    }

    /// Blocks until the work is done. - Throws: what the work threw.
    func value() throws -> Value {
        // Without a timeout there is always an outcome.
        guard let result: Result<Value, any Error> = outcome.wait(until: { $0 }) else {
            throw SystemError("wait", errno: ETIMEDOUT)
        }
        return try result.get()
    }
}

import Glibc

/// Work done by a thread of its own while the caller does something else.
public final class Background<Value: Sendable>: Sendable {
    private let outcome = Guarded<Result<Value, any Error>?>(nil)

    /// - Parameter name: the thread's (`Thread.start`).
    public init(_ name: String, _ body: @escaping @Sendable () throws -> Value) {
        let outcome = outcome
        Thread.start(name) {
            let result = Result { try body() }
            outcome.withLock { $0 = result }
        }
    }

    /// Blocks until the work is done. - Throws: what the work threw.
    public func value() throws -> Value {
        // Without a timeout there is always an outcome.
        guard let result: Result<Value, any Error> = outcome.wait(until: { $0 }) else {
            throw SystemError("wait", errno: ETIMEDOUT)
        }
        return try result.get()
    }
}

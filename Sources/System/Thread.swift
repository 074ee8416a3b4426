import CSystem
import Glibc

/// Blocking work runs on threads of its own; nothing here uses Swift's cooperative pool, which two blocking calls would
/// stall on a machine of two cores.
public enum Thread {
    private final class Body {
        let name: String
        let run: @Sendable () -> Void
        init(_ name: String, _ run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts a detached thread. - Parameter name: shown by `ps -L` and debuggers; at most 15 bytes are kept.
    public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 512 * 1024)
        let boxed = Unmanaged.passRetained(Body(name, body)).toOpaque()
        let result = pthread_create(&thread, &attributes, threadMain, boxed)
        pthread_attr_destroy(&attributes)
        precondition(result == 0, "pthread_create \(name): \(String(cString: strerror(result)))")
    }

    /// Runs `body` on a thread of its own and waits for what it returns or throws: for work in namespaces or a working
    /// directory that are not for the rest of the process.
    public static func run<T: Sendable, Failure: Error>(
        _ name: String, _ body: @escaping @Sendable () throws(Failure) -> T
    ) throws(Failure) -> T {
        let outcome = Guarded<Result<T, Failure>?>(nil)
        start(name) {
            let result = Result { () throws(Failure) in try body() }
            outcome.withLock { $0 = result }
        }
        // Without a timeout the wait ends with a value alone.
        while true { if let result = outcome.wait(until: { $0 }) { return try result.get() } }
    }

    fileprivate static func begin(_ argument: UnsafeMutableRawPointer) {
        let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
        cs_name_thread(String(body.name.prefix(15)))
        body.run()
    }
}

private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument { Thread.begin(argument) }
    return nil
}

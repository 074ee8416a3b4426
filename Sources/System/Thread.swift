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

    fileprivate static func run(_ argument: UnsafeMutableRawPointer) {
        let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
        cs_name_thread(String(body.name.prefix(15)))
        body.run()
    }
}

private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument { Thread.run(argument) }
    return nil
}

import Glibc

/// State behind a mutex, with a condition to wait on it.
///
/// `@unchecked Sendable` is sound: the state is reached only inside `withLock` and `wait`, which hold the mutex.
public final class Guarded<State>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    public init(_ state: sending State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` with the state and wakes whoever waits for it to change.
    public func withLock<T, E: Error>(_ body: (inout State) throws(E) -> T) throws(E) -> T {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Blocks until `body` returns a value or the timeout passes. `body` runs once at once and again after each change.
    /// - Parameter timeout: how long to wait; nil waits for ever.
    /// - Returns: what `body` returned, or nil when the time was up.
    public func wait<T>(timeout: Duration? = nil, until body: (inout State) -> T?) -> T? {
        let deadline = timeout.map { Clock.monotonic + $0 }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let value = body(&state) {
                pthread_cond_broadcast(condition)
                return value
            }
            guard let deadline else {
                pthread_cond_wait(condition, mutex)
                continue
            }
            var until = deadline.timespec
            if pthread_cond_timedwait(condition, mutex, &until) == ETIMEDOUT { return body(&state) }
        }
    }
}

import CSystem
import Glibc

/// One epoll thread. Handlers run on it, one at a time, and must not block.
public final class EventLoop: Sendable {
    /// What epoll reported or is asked for (`epoll_ctl(2)`).
    public struct Events: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let readable = Events(rawValue: 0x001)
        public static let writable = Events(rawValue: 0x004)
        public static let error = Events(rawValue: 0x008)
        public static let hangup = Events(rawValue: 0x010)
        public static let readHangup = Events(rawValue: 0x2000)
    }

    public typealias Handler = @Sendable (Events) -> Void

    private struct State {
        /// A registration's token goes with each event, so that an event still queued for a descriptor number that was
        /// closed and used again meanwhile reaches nobody.
        var handlers: [UInt64: Handler] = [:]
        var tokens: [Int32: UInt64] = [:]
        var nextToken: UInt64 = 1
        var queue: [@Sendable () -> Void] = []
        var stopped = false
    }

    private let epoll: FileDescriptor
    private let wake: FileDescriptor
    private let state = Guarded(State())
    private static let wakeToken: UInt64 = 0

    /// Starts the loop's thread. - Throws: `SystemError`.
    public init(name: String) throws(SystemError) {
        epoll = FileDescriptor(try syscall("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) })
        wake = FileDescriptor(try syscall("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
        try control(EPOLL_CTL_ADD, wake.raw, .readable, Self.wakeToken)
        Thread.start(name) { self.run() }
    }

    /// Watches a descriptor. It stays the caller's: remove it before closing it.
    public func add(_ fd: Int32, _ events: Events, _ handler: @escaping Handler) throws(SystemError) {
        let token = state.withLock { state in
            let token = state.nextToken
            state.nextToken += 1
            state.handlers[token] = handler
            state.tokens[fd] = token
            return token
        }
        do { try control(EPOLL_CTL_ADD, fd, events, token) } catch {
            state.withLock {
                $0.handlers[token] = nil
                $0.tokens[fd] = nil
            }
            throw error
        }
    }

    /// Changes what a watched descriptor is watched for.
    public func modify(_ fd: Int32, _ events: Events) throws(SystemError) {
        guard let token = state.withLock({ $0.tokens[fd] }) else {
            throw SystemError("epoll_ctl", "fd \(fd)", errno: ENOENT)
        }
        try control(EPOLL_CTL_MOD, fd, events, token)
    }

    /// Stops watching. Does nothing for a descriptor that is not watched.
    public func remove(_ fd: Int32) {
        let known = state.withLock { state in
            guard let token = state.tokens.removeValue(forKey: fd) else { return false }
            state.handlers[token] = nil
            return true
        }
        if known { try? control(EPOLL_CTL_DEL, fd, [], 0) }
    }

    /// Runs `body` on the loop's thread, soon.
    public func enqueue(_ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.queue.append(body) }
        signal()
    }

    /// Ends the thread once the handlers under way have returned.
    public func stop() {
        state.withLock { $0.stopped = true }
        signal()
    }

    private func signal() {
        var one: UInt64 = 1
        _ = write(wake.raw, &one, 8)
    }

    private func control(_ operation: Int32, _ fd: Int32, _ events: Events, _ token: UInt64) throws(SystemError) {
        var event = epoll_event(events: events.rawValue, data: epoll_data_t(u64: token))
        let epoll = epoll.raw
        try syscall("epoll_ctl", "fd \(fd)") { epoll_ctl(epoll, operation, fd, &event) }
    }

    private func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(epoll.raw, &events, Int32(events.count), -1)
            if count < 0 && errno != EINTR { return }
            for event in events.prefix(Int(max(count, 0))) {
                if event.data.u64 == Self.wakeToken {
                    var value: UInt64 = 0
                    _ = read(wake.raw, &value, 8)
                    continue
                }
                let handler = state.withLock { $0.handlers[event.data.u64] }
                handler?(Events(rawValue: event.events))
            }
            let (queue, stopped) = state.withLock { state in
                defer { state.queue = [] }
                return (state.queue, state.stopped)
            }
            for body in queue { body() }
            if stopped {
                // Handlers hold their owners; let go of them.
                state.withLock { $0.handlers = [:] }
                return
            }
        }
    }
}

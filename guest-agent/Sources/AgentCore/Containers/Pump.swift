import CAgent
import CSystem
import Glibc
import System

/// A thread that carries one stream of a process to or from the host. Programs get pipes and not the connections
/// themselves, because `/dev/stdout` and its like cannot be opened again when they are sockets.
final class Pump: Sendable {
    private struct State {
        /// The process has ended: what is still there is carried, no more is waited for.
        var finishing = false
        var done = false
    }

    /// Two of these are alive per stream at most; more brought nothing, measured under emulation.
    private static let bufferInBytes = 256 << 10

    private let state = Guarded(State())
    /// Written to interrupt a wait.
    private let wake: FileDescriptor
    private let socket: FileDescriptor

    private init(socket: FileDescriptor) throws(SystemError) {
        self.socket = socket
        wake = FileDescriptor(
            try syscall("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
    }

    /// Carries what a process writes. Ends at the end of `source`, when the host no longer listens (the process then gets
    /// `SIGPIPE`), or when `finish` was called and nothing is left.
    static func output(from source: FileDescriptor, to socket: FileDescriptor, isTerminal: Bool) throws(SystemError)
        -> Pump
    {
        try source.setNonBlocking()
        let pump = try Pump(socket: socket)
        Thread.start("output") {
            pump.carryOutput(from: source, isTerminal: isTerminal)
            _ = shutdown(socket.raw, Int32(SHUT_RDWR))
            pump.state.withLock { $0.done = true }
        }
        return pump
    }

    /// Carries what the host sends. `sink` is closed when the host says that there is no more; a terminal stays open.
    static func input(from socket: FileDescriptor, to sink: FileDescriptor) throws(SystemError) -> Pump {
        try sink.setNonBlocking()
        let pump = try Pump(socket: socket)
        Thread.start("input") {
            pump.carryInput(to: sink)
            _ = shutdown(socket.raw, Int32(SHUT_RDWR))
            pump.state.withLock { $0.done = true }
        }
        return pump
    }

    /// The process has ended: nothing new is to come.
    func finish() {
        state.withLock { $0.finishing = true }
        var one: UInt64 = 1
        _ = write(wake.raw, &one, 8)
    }

    /// Ends the pump even if the host does not take what it carries.
    func abort() {
        finish()
        _ = shutdown(socket.raw, Int32(SHUT_RDWR))
    }

    /// Blocks until all has been carried, or the time (`Clock.monotonic`) has come.
    func waitUntilDone(deadline: Duration) {
        let left = deadline - Clock.monotonic
        _ = state.wait(timeout: max(left, .zero)) { $0.done ? true : nil }
    }

    private var isFinishing: Bool { state.withLock { $0.finishing } }

    private func carryOutput(from source: FileDescriptor, isTerminal: Bool) {
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: Self.bufferInBytes, alignment: 4096)
        defer { buffer.deallocate() }
        let from = source.raw
        while true {
            // Asked before reading: what was written before the process ended is then surely seen by the read.
            let last = isFinishing
            let count = read(from, buffer, Self.bufferInBytes)
            if count > 0 {
                guard send(buffer, count) else { return }
            } else if count < 0 && errno == EINTR {
                continue
            } else if count < 0 && errno == EAGAIN {
                if last {
                    // A terminal hands on what was written a moment later, by a kernel thread.
                    guard isTerminal, waitReadable(from, 100) else { return }
                } else if !waitForOutput(from) {
                    return
                }
            } else {
                // The end; EIO is a terminal's.
                return
            }
        }
    }

    private func send(_ buffer: UnsafeMutableRawPointer, _ count: Int) -> Bool {
        var done = 0
        while done < count {
            let sent = write(socket.raw, buffer + done, count - done)
            if sent > 0 { done += sent } else if errno != EINTR { return false }
        }
        return true
    }

    /// Returns false when the host has closed the stream.
    private func waitForOutput(_ source: Int32) -> Bool {
        var polled = [
            pollfd(fd: source, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wake.raw, events: Int16(POLLIN), revents: 0),
            pollfd(fd: socket.raw, events: 0, revents: 0),
        ]
        while poll(&polled, 3, -1) < 0 && errno == EINTR {}
        if polled[1].revents != 0 { drainWake() }
        return polled[2].revents == 0
    }

    private func waitReadable(_ fd: Int32, _ milliseconds: Int32) -> Bool {
        var polled = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
        return poll(&polled, 1, milliseconds) > 0
    }

    private func drainWake() {
        var value: UInt64 = 0
        _ = read(wake.raw, &value, 8)
    }

    private func carryInput(to sink: FileDescriptor) {
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: Self.bufferInBytes, alignment: 4096)
        defer { buffer.deallocate() }
        while !isFinishing {
            let count = recv(socket.raw, buffer, Self.bufferInBytes, Int32(MSG_DONTWAIT))
            if count > 0 {
                guard deliver(buffer, count, to: sink.raw) else { return }
            } else if count < 0 && errno == EINTR {
                continue
            } else if count < 0 && errno == EAGAIN {
                guard waitForInput(sink.raw) else { return }
            } else {
                return
            }
        }
    }

    private func deliver(_ buffer: UnsafeMutableRawPointer, _ count: Int, to sink: Int32) -> Bool {
        var done = 0
        while done < count {
            let written = write(sink, buffer + done, count - done)
            if written > 0 {
                done += written
            } else if errno == EAGAIN {
                var polled = [
                    pollfd(fd: sink, events: Int16(POLLOUT), revents: 0),
                    pollfd(fd: wake.raw, events: Int16(POLLIN), revents: 0),
                ]
                while poll(&polled, 2, -1) < 0 && errno == EINTR {}
                if isFinishing { return false }
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }

    /// Returns false when nobody reads the process's standard input any more.
    private func waitForInput(_ sink: Int32) -> Bool {
        var polled = [
            pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wake.raw, events: Int16(POLLIN), revents: 0),
            pollfd(fd: sink, events: 0, revents: 0),
        ]
        while poll(&polled, 3, -1) < 0 && errno == EINTR {}
        return polled[2].revents & Int16(POLLERR) == 0
    }
}

import CSystem
import Glibc
import System

/// Carries a process's standard input from the client's FIFO to the engine, from the process's start on.
///
/// The FIFO is opened for reading no earlier, because a client may begin to write at that moment: were that while `Create`
/// still boots a guest, clients such as `ctr`, which call `CloseIO` when their input ends and know the task only once it is
/// created, would reach the end too early and never call it.
///
/// It is kept open for writing until `CloseIO`: a client that goes away, or another that comes, does not end the process's
/// input.
final class InputRelay: Sendable {
    private enum State: Sendable {
        case waiting(isClosed: Bool)
        case open(writer: FileDescriptor)
        case closed
    }

    private let pipe: FileDescriptor
    private let path: String
    private let state = Guarded(State.waiting(isClosed: false))

    private init(path: String, pipe: FileDescriptor) {
        self.path = path
        self.pipe = pipe
    }

    /// - Returns: the relay, and what the engine is to read.
    static func make(path: String) throws(SystemError) -> (relay: InputRelay, output: FileDescriptor) {
        let (output, pipe) = try makePipe()
        return (InputRelay(path: path, pipe: pipe), output)
    }

    /// The process starts: lets the client in.
    /// - Throws: `SystemError` when the FIFO cannot be opened.
    func start() throws(SystemError) {
        // With both ends open, neither of the next two waits or fails for want of the other.
        let both = try FileDescriptor.open(path, O_RDWR)
        defer { both.close() }
        let reader = try FileDescriptor.open(path, O_RDONLY)
        let writer = try FileDescriptor.open(path, O_WRONLY)
        let isFirst = state.withLock { state in
            guard case .waiting(let isClosed) = state else { return false }
            state = isClosed ? .closed : .open(writer: writer)
            if isClosed { writer.close() }
            return true
        }
        guard isFirst else { return }
        Thread.start("stdin") { [pipe] in
            Self.carry(reader, pipe)
            reader.close()
            pipe.close()
        }
    }

    /// The input ends when the client's own end is closed too.
    func close() {
        let writer = state.withLock { state -> FileDescriptor? in
            switch state {
            case .waiting: state = .waiting(isClosed: true)
            case .open(let writer):
                state = .closed
                return writer
            case .closed: break
            }
            return nil
        }
        writer?.close()
    }

    /// The process will never start, or is over.
    func cancel() {
        let wasWaiting = state.withLock { state in
            if case .waiting = state {
                state = .closed
                return true
            }
            return false
        }
        if wasWaiting { pipe.close() } else { close() }
    }

    private static let chunkInBytes = 1 << 20

    /// Until the FIFO ends, or nobody reads any more.
    private static func carry(_ reader: FileDescriptor, _ pipe: FileDescriptor) {
        let (from, to) = (reader.raw, pipe.raw)
        while true {
            // An error on the other side is told without being asked for: that of a pipe nobody reads.
            var polled = [
                pollfd(fd: from, events: Int16(POLLIN), revents: 0), pollfd(fd: to, events: 0, revents: 0),
            ]
            guard (try? syscall("poll", "", { poll(&polled, 2, -1) })) != nil, polled[1].revents == 0,
                let count = try? syscall("splice", "", { cs_splice(from, to, chunkInBytes) }), count > 0
            else { return }
        }
    }
}

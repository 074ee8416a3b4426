import Glibc
import Protobuf
import System

/// Calls over one connection, from any number of threads. A reader thread hands each answer to its caller.
public final class Client: Sendable {
    private struct State {
        var nextStream: UInt32 = 1
        /// Calls under way; nil until the answer has come.
        var answers: [UInt32: WireResponse?] = [:]
        var closed: String?
        var onClose: (@Sendable () -> Void)?
    }

    private let descriptor: FileDescriptor
    private let state = Guarded(State())
    private let writing = Guarded(())

    /// Takes the connected socket over.
    public init(_ descriptor: FileDescriptor) {
        self.descriptor = descriptor
        Thread.start("ttrpc-client") { self.readAnswers() }
    }

    /// Runs `body` once when the connection has ended, at once if it already has.
    public func onClose(_ body: @escaping @Sendable () -> Void) {
        let closed = state.withLock { state in
            if state.closed == nil { state.onClose = body }
            return state.closed != nil
        }
        if closed { body() }
    }

    public var hasEnded: Bool { state.withLock { $0.closed != nil } }

    /// Calls and waits for the answer.
    /// - Parameter timeout: nil waits for as long as the connection lives.
    /// - Throws: `RPCError`: the server's, `unavailable` when the connection ended, `deadlineExceeded`.
    public func call<Request, Response>(
        _ rpc: RPC<Request, Response>, _ request: Request, timeout: Duration? = nil
    ) throws(RPCError) -> Response {
        let stream = try state.withLock { state throws(RPCError) in
            if let reason = state.closed { throw RPCError(.unavailable, "\(rpc.method): \(reason)") }
            defer { state.nextStream += 2 }
            state.answers[state.nextStream] = .some(nil)
            return state.nextStream
        }
        var wire = WireRequest()
        wire.service = rpc.service
        wire.method = rpc.method
        wire.payload = request.encoded()
        wire.timeoutInNanoseconds = timeout?.nanoseconds ?? 0
        do {
            let bytes = try Frame(stream: stream, kind: Frame.Kind.request.rawValue, body: wire.encoded()).bytes()
            try writing.withLock { _ in try descriptor.writeAll(bytes) }
        } catch {
            state.withLock { $0.answers[stream] = nil }
            if let error = error as? RPCError { throw error }
            // The other side is gone, or got a part of a message.
            close()
            _ = state.wait { $0.closed }
            throw RPCError(.unavailable, "\(rpc.method): \(error)")
        }

        let outcome: Result<WireResponse, RPCError>? = state.wait(timeout: timeout) { state in
            if let answer = state.answers[stream] ?? nil { return .success(answer) }
            if let reason = state.closed { return .failure(RPCError(.unavailable, "\(rpc.method): \(reason)")) }
            return nil
        }
        state.withLock { $0.answers[stream] = nil }
        guard let outcome else { throw RPCError(.deadlineExceeded, "\(rpc.method): no answer in time") }
        let answer = try outcome.get()
        if let status = answer.status, status.code != 0 {
            throw RPCError(RPCError.Code(rawValue: status.code) ?? .unknown, status.message)
        }
        do { return try Response(decoding: answer.payload) } catch {
            throw RPCError(.internal, "\(rpc.method): answer cannot be read: \(error)")
        }
    }

    /// Ends the connection; calls under way fail with `unavailable`.
    public func close() { _ = shutdown(descriptor.raw, Int32(SHUT_RDWR)) }

    private func readAnswers() {
        var reason = "the connection was closed"
        do {
            while let frame = try Frame.read(from: descriptor) {
                guard frame.kind == Frame.Kind.response.rawValue else { continue }
                let answer = try WireResponse(decoding: frame.body)
                state.withLock { state in
                    // An answer nobody waits for any more came after its caller's deadline.
                    if state.answers[frame.stream] != nil { state.answers[frame.stream] = .some(answer) }
                }
            }
        } catch { reason = "\(error)" }
        let onClose = state.withLock { state in
            state.closed = reason
            defer { state.onClose = nil }
            return state.onClose
        }
        close()
        onClose?()
    }
}

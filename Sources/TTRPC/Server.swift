import Glibc
import Protobuf
import System

/// One row of a service's table: a method and what answers it.
public struct Handler: Sendable {
    let service: String
    let method: String
    let run: @Sendable ([UInt8]) throws -> (payload: [UInt8], then: (@Sendable () -> Void)?)

    /// Decodes, handles, encodes. What `body` throws reaches the caller as an `RPCError`.
    /// - Parameter then: called once the answer has been written, or cannot be, and the server's `patience` is over; not
    ///   after what `body` throws. For what ends the process: a caller that gets no answer takes that for a failure.
    public static func on<Request, Response>(
        _ rpc: RPC<Request, Response>, then: (@Sendable (Request) -> Void)? = nil,
        _ body: @escaping @Sendable (Request) throws -> Response
    ) -> Handler {
        Handler(service: rpc.service, method: rpc.method) { payload in
            let request: Request
            do { request = try Request(decoding: payload) } catch {
                throw RPCError(.invalidArgument, "\(rpc.method): request cannot be read: \(error)")
            }
            let answer = try body(request).encoded()
            guard let then else { return (answer, nil) }
            return (answer, { then(request) })
        }
    }
}

/// Answers calls. Each call runs on a thread of its own, so a handler may block.
public final class Server: Sendable {
    private let handlers: [String: Handler]
    private let mapError: @Sendable (any Error) -> RPCError
    private let mostCallsUnderWay: Int
    private let patience: Duration

    /// - Parameters:
    ///   - mostCallsUnderWay: on one connection: a peer that asks and never reads cannot take all threads. Calls beyond it
    ///     are not read until others have been answered.
    ///   - patience: how long callers have to hang up, after an answer that something follows (`then`). A caller
    ///     in Go that finds the answer and the connection's end at the same moment may go by the end (ttrpc's `Client`).
    ///   - mapError: turns errors that are not `RPCError` into one: the one place where that is done.
    public init(
        _ handlers: [Handler], mostCallsUnderWay: Int = 512, patience: Duration = .zero,
        mapError: @escaping @Sendable (any Error) -> RPCError = { RPCError(.unknown, "\($0)") }
    ) {
        self.handlers = Dictionary(handlers.map { ("\($0.service)/\($0.method)", $0) }, uniquingKeysWith: { $1 })
        self.mapError = mapError
        self.mostCallsUnderWay = mostCallsUnderWay
        self.patience = patience
    }

    /// Accepts connections until the listener is shut down, each served by a thread. Blocks.
    public func serve(_ listener: FileDescriptor) {
        while let connection = try? UnixSocket.accept(listener) {
            Thread.start("ttrpc-server") { self.serve(connection: connection) }
        }
    }

    /// Serves one connection until it ends. Blocks.
    public func serve(connection: FileDescriptor) { serve(connection, from: nil) }

    /// Answers the call, then whatever comes on its connection until that ends. Blocks.
    public func serve(_ call: FirstCall) { serve(call.connection, from: call.frame) }

    private func serve(_ connection: FileDescriptor, from first: Frame?) {
        var first = first
        let writing = Guarded(())
        let underWay = Guarded(0)
        let hungUp = Guarded(false)
        while let frame = try? first ?? Frame.read(from: connection) {
            first = nil
            guard frame.kind == Frame.Kind.request.rawValue else { continue }
            _ = underWay.wait { count in
                guard count < self.mostCallsUnderWay else { return nil as Bool? }
                count += 1
                return true
            }
            Thread.start("ttrpc-call") {
                let (answer, then) = self.answer(frame.body)
                let response = Frame(stream: frame.stream, kind: Frame.Kind.response.rawValue, body: answer.encoded())
                // A peer that has gone does not hear the answer; there is nobody else to tell.
                if let bytes = try? response.bytes() { writing.withLock { _ in try? connection.writeAll(bytes) } }
                if let then {
                    _ = hungUp.wait(timeout: self.patience) { $0 ? true : nil }
                    then()
                }
                underWay.withLock { $0 -= 1 }
            }
        }
        hungUp.withLock { $0 = true }
        // Threads still answering hold the descriptor; this tells the peer.
        _ = shutdown(connection.raw, Int32(SHUT_RDWR))
    }

    private func answer(_ body: [UInt8]) -> (WireResponse, then: (@Sendable () -> Void)?) {
        var response = WireResponse()
        var then: (@Sendable () -> Void)?
        do {
            let request: WireRequest
            do { request = try WireRequest(decoding: body) } catch {
                throw RPCError(.invalidArgument, "request cannot be read: \(error)")
            }
            guard let handler = handlers["\(request.service)/\(request.method)"] else {
                throw RPCError(
                    .unimplemented, "method \(request.method) of service \(request.service) is not implemented")
            }
            (response.payload, then) = try handler.run(request.payload)
        } catch {
            response.status = WireStatus(error as? RPCError ?? mapError(error))
        }
        return (response, then)
    }
}

/// The call with which a server's work begins, read from its connection and not answered yet: for a process that has to do
/// something with it before it has any thread.
public struct FirstCall: Sendable {
    let connection: FileDescriptor
    let frame: Frame

    /// Accepts connections, one after the other, until one brings a call of `rpc`. Blocks, and starts no thread.
    /// - Parameter others: what every other call is answered with.
    /// - Throws: `SystemError` when the listener fails.
    public static func wait<Request, Response>(
        for rpc: RPC<Request, Response>, on listener: FileDescriptor,
        others: (_ service: String, _ method: String) -> RPCError
    ) throws(SystemError) -> (call: FirstCall, request: Request) {
        while true {
            let connection = try UnixSocket.accept(listener)
            while let frame = try? Frame.read(from: connection) {
                guard frame.kind == Frame.Kind.request.rawValue, let wire = try? WireRequest(decoding: frame.body)
                else {
                    continue
                }
                let call = FirstCall(connection: connection, frame: frame)
                if wire.service == rpc.service, wire.method == rpc.method,
                    let request = try? Request(decoding: wire.payload)
                {
                    return (call, request)
                }
                call.refuse(others(wire.service, wire.method))
            }
        }
    }

    /// Answers it with an error.
    public func refuse(_ error: RPCError) {
        var response = WireResponse()
        response.status = WireStatus(error)
        let answer = Frame(stream: frame.stream, kind: Frame.Kind.response.rawValue, body: response.encoded())
        // A peer that has gone does not hear it.
        if let bytes = try? answer.bytes() { try? connection.writeAll(bytes) }
    }
}

import Protobuf

/// One method of a service, typed. Server and client are both written against this declaration.
public struct RPC<Request: Message, Response: Message>: Sendable {
    /// Full name of the service, e.g. `containerd.task.v2.Task`.
    public let service: String
    public let method: String

    public init(_ service: String, _ method: String) {
        self.service = service
        self.method = method
    }
}

/// A failed call, as it crosses the wire in `google.rpc.Status`.
public struct RPCError: Error, CustomStringConvertible, Sendable {
    /// The codes of gRPC (<https://grpc.io/docs/guides/status-codes/>).
    public enum Code: Int32, Sendable {
        case cancelled = 1
        case unknown = 2
        case invalidArgument = 3
        case deadlineExceeded = 4
        case notFound = 5
        case alreadyExists = 6
        case permissionDenied = 7
        case resourceExhausted = 8
        case failedPrecondition = 9
        case aborted = 10
        case outOfRange = 11
        case unimplemented = 12
        case `internal` = 13
        case unavailable = 14
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}

/// `ttrpc.Request`, `ttrpc.Response` and `google.rpc.Status` (containerd/ttrpc, `request.proto`).
struct WireRequest: Message {
    var service = ""
    var method = ""
    var payload: [UInt8] = []
    var timeoutInNanoseconds: Int64 = 0
    mutating func fields(_ field: inout Fields) {
        field(1, &service)
        field(2, &method)
        field(3, &payload)
        field(4, &timeoutInNanoseconds)
    }
}

struct WireStatus: Message {
    var code: Int32 = 0
    var message = ""
    mutating func fields(_ field: inout Fields) {
        field(1, &code)
        field(2, &message)
    }
}

extension WireStatus {
    init(_ error: RPCError) {
        code = error.code.rawValue
        message = error.message
    }
}

struct WireResponse: Message {
    var status: WireStatus?
    var payload: [UInt8] = []
    mutating func fields(_ field: inout Fields) {
        field(1, &status)
        field(2, &payload)
    }
}

import AgentAPI
import ContainerdAPI
import Glibc
import Protobuf
import System
import TTRPC

/// Everything on the host that reads bytes from a guest or from a client of the Task API.
final class WireTarget {
    private(set) var decoded = 0

    private static let decoders: [@Sendable ([UInt8]) -> String?] = [
        check(HelloRequest.self), check(HelloResponse.self), check(UnpackLayerRequest.self),
        check(UnpackLayerResponse.self),
        check(CreateContainerRequest.self), check(CreateProcessRequest.self), check(WaitProcessResponse.self),
        check(SignalProcessRequest.self), check(ResizeTerminalRequest.self), check(CreateTaskRequest.self),
        check(ExecProcessRequest.self), check(StateResponse.self), check(SandboxStatus.self), check(UnpackRequest.self),
        check(SandboxOptions.self),
    ]

    /// What decodes once decodes again from its own encoding, to the same bytes.
    private static func check<M: Message>(_: M.Type) -> @Sendable ([UInt8]) -> String? {
        { bytes in
            guard let first = try? M(decoding: bytes) else { return nil }
            let encoded = first.encoded()
            guard let second = try? M(decoding: encoded) else { return "\(M.self) does not decode what it encoded" }
            return second.encoded() == encoded ? "" : "\(M.self) is not the same after a round trip"
        }
    }

    private let server = Server([
        .on(Agent.hello) { _ in HelloResponse() }, .on(TaskAPI.create) { _ in CreateTaskResponse() },
    ])

    /// - Returns: what went wrong, or nil.
    func run(_ input: [UInt8]) -> String? {
        for decoder in Self.decoders {
            guard let result = decoder(input) else { continue }
            if !result.isEmpty { return result }
            decoded += 1
        }
        do {
            try serve(input)
            try answer(input)
        } catch { return "\(error)" }
        return nil
    }

    /// The bytes come to a server, which reads them to their end and hangs up.
    private func serve(_ input: [UInt8]) throws {
        let (ours, theirs) = try makeSocketPair()
        try ours.writeAll(input)
        _ = shutdown(ours.raw, Int32(SHUT_WR))
        server.serve(connection: theirs)
        theirs.close()
    }

    /// The bytes come to a client as the answer to its call, which ends whatever they say.
    private func answer(_ input: [UInt8]) throws {
        let (ours, theirs) = try makeSocketPair()
        try theirs.writeAll(input)
        _ = shutdown(theirs.raw, Int32(SHUT_WR))
        _ = try? Client(ours).call(Agent.hello, HelloRequest())
    }
}

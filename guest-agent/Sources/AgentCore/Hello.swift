import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// The first call of a connection.
enum Hello {
    static func answer(_ request: HelloRequest, start: Duration, ready: Duration, ownsGuest: Bool)
        throws -> HelloResponse
    {
        guard request.version == Agent.version else {
            throw RPCError(
                .failedPrecondition,
                "the guest's agent speaks version \(Agent.version) and the host version \(request.version): "
                    + "rebuild the guest's initramfs and the host's programs from the same source")
        }
        if ownsGuest {
            if request.realtimeInNanoseconds > 0 {
                var time = Duration.nanoseconds(Int64(clamping: request.realtimeInNanoseconds)).timespec
                try syscall("clock_settime") { clock_settime(CLOCK_REALTIME, &time) }
            }
            if !request.entropy.isEmpty {
                let entropy = request.entropy.prefix(4096)
                try syscall("RNDADDENTROPY") { entropy.withUnsafeBytes { ca_add_entropy($0.baseAddress, $0.count) } }
            }
        }
        var response = HelloResponse()
        response.version = Agent.version
        response.kernelRelease = kernelRelease()
        response.agentStartInNanoseconds = UInt64(clamping: start.nanoseconds)
        response.agentReadyInNanoseconds = UInt64(clamping: ready.nanoseconds)
        return response
    }

    private static func kernelRelease() -> String {
        var name = utsname()
        guard uname(&name) == 0 else { return "" }
        return withUnsafeBytes(of: &name.release) { bytes in
            String(decoding: bytes.prefix(while: { $0 != 0 }), as: UTF8.self)
        }
    }
}

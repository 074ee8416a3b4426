import AgentAPI
import CAgent
import System
import TTRPC

/// A process's resource limits (setrlimit(2)).
enum StageLimits {
    static func apply(_ limits: [Rlimit]) throws {
        for limit in limits {
            guard let resource = numbers[limit.type] else {
                throw RPCError(.invalidArgument, "there is no resource limit \"\(limit.type)\"")
            }
            guard limit.soft <= limit.hard else {
                throw RPCError(
                    .invalidArgument,
                    "resource limit \(limit.type): \(limit.soft) is over the hard limit of \(limit.hard)")
            }
            try syscall("setrlimit", limit.type) { ca_set_rlimit(resource, limit.soft, limit.hard) }
        }
    }

    /// asm-generic/resource.h
    private static let numbers: [String: Int32] = [
        "RLIMIT_CPU": 0, "RLIMIT_FSIZE": 1, "RLIMIT_DATA": 2, "RLIMIT_STACK": 3, "RLIMIT_CORE": 4, "RLIMIT_RSS": 5,
        "RLIMIT_NPROC": 6, "RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8, "RLIMIT_AS": 9, "RLIMIT_LOCKS": 10,
        "RLIMIT_SIGPENDING": 11, "RLIMIT_MSGQUEUE": 12, "RLIMIT_NICE": 13, "RLIMIT_RTPRIO": 14, "RLIMIT_RTTIME": 15,
    ]
}

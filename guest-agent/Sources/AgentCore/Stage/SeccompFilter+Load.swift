import AgentAPI
import CAgent
import System

extension SeccompFilter {
    /// For the calling process from now on, and all that it executes and its children do.
    func load() throws(SystemError) {
        try syscall("seccomp") { program.withUnsafeBytes { ca_seccomp_load($0.baseAddress, $0.count, flags) } }
    }
}

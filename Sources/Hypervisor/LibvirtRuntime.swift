import CLibvirt
import Glibc
import System

/// What libvirt needs once in a process: its event loop on a thread of its own, and silence on stderr.
enum LibvirtRuntime {
    /// Runs at the first use, once, whichever thread is first.
    private static let started: Bool = {
        // libvirt would log to stderr, which is the container's; errors reach us through the calls that fail.
        setenv("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null", 0)
        setenv("LIBVIRT_LOG_FILTERS", "", 0)
        virSetErrorFunc(nil, swallowError)
        guard virInitialize() == 0, virEventRegisterDefaultImpl() == 0 else { return false }
        Thread.start("libvirt-events") {
            // An error of one round is no reason to stop: without the loop no event ever arrives.
            while true { if virEventRunDefaultImpl() < 0 { usleep(1000) } }
        }
        return true
    }()

    /// - Parameter directory: for what libvirt would otherwise leave in the home directory of an ordinary user, or fail
    ///   without one.
    static func start(directory: String) throws(HypervisorError) {
        if geteuid() != 0 {
            setenv("XDG_CACHE_HOME", "\(directory)/cache", 1)
            setenv("XDG_RUNTIME_DIR", "\(directory)/run", 1)
        }
        guard started else { throw HypervisorError.last("start libvirt") }
    }
}

// libvirt calls these from its own threads: at file scope they are isolated to nothing.
private func swallowError(_: UnsafeMutableRawPointer?, _: virErrorPtr?) {}

import System

extension Sandbox {
    /// Blocks until the sandbox has ended, by itself or because it was told to.
    public func waitUntilStopped() {
        let stopped: Void? = state.wait { if case .stopped = $0.phase { () } else { nil } }
        _ = stopped
    }
}

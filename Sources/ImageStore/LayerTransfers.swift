import OCISpec
import Registry
import System

/// The layers of one pull or push, by some threads, each with a session of its own. The first failure ends them all, and is
/// what the whole fails with: the others follow from it.
final class LayerTransfers: Sendable {
    private struct State {
        var wanted: [StoredImage.Layer]
        /// Transferred, and not yet taken.
        var done: [StoredImage.Layer]
        var working = 0
        var failure: (any Error)?
    }

    private let state: Guarded<State>

    /// - Parameter present: layers that need no transfer and count as done.
    init(_ wanted: [StoredImage.Layer], present: [StoredImage.Layer] = []) {
        state = Guarded(State(wanted: wanted, done: present))
    }

    var hasFailed: Bool { state.withLock { $0.failure != nil } }

    func fail(_ error: any Error) { state.withLock { $0.failure = $0.failure ?? error } }

    /// - Parameter parallel: layers at once.
    func start(
        _ name: String, _ registry: Registry, parallel: Int,
        _ transfer: @escaping @Sendable (StoredImage.Layer, Session) throws -> Void
    ) {
        let threads = state.withLock { state in
            state.working = min(max(parallel, 1), state.wanted.count)
            return state.working
        }
        for number in 0..<threads {
            Thread.start("\(name)-\(number)") {
                do {
                    let session = try registry.session()
                    while let layer = self.nextWanted() {
                        try transfer(layer, session)
                        self.state.withLock { $0.done.append(layer) }
                    }
                } catch { self.fail(error) }
                self.state.withLock { $0.working -= 1 }
            }
        }
    }

    private func nextWanted() -> StoredImage.Layer? {
        state.withLock { $0.failure == nil && !$0.wanted.isEmpty ? $0.wanted.removeFirst() : nil }
    }

    /// What was transferred since the last call, which is waited for; nil after the last, or a failure.
    func takeDone() -> [StoredImage.Layer]? {
        let layers = state.wait { state -> [StoredImage.Layer]? in
            if state.failure != nil { return [] }
            if state.done.isEmpty { return state.working == 0 ? [] : nil }
            defer { state.done = [] }
            return state.done
        }
        // Without a timeout the wait ends with a value alone.
        return layers?.isEmpty == false ? layers : nil
    }

    /// Waits for the threads' end.
    func finish() throws {
        _ = state.wait { $0.working == 0 ? true : nil }
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }
}

extension [StoredImage.Layer] {
    /// Each once, though an image may have it several times.
    var distinct: [StoredImage.Layer] {
        var seen: Set<Digest> = []
        return filter { seen.insert($0.digest).inserted }
    }
}

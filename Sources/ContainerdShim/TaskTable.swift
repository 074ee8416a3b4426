import Sandbox
import System

/// What the service keeps of a task's process beside the engine.
final class TaskEntry: Sendable {
    enum Phase: Sendable {
        /// Under way: the name is taken.
        case creating
        case created
        /// Whoever starts it has not published it yet.
        case starting
        case started
    }

    private struct State {
        var phase = Phase.creating
        /// Whether somebody is going to publish the process's end.
        var endIsOwed = false
        var stdio = TaskStdio()
        var input: InputRelay?
        var isPaused = false
        var wasOutOfMemory = false
        var hooks: ContainerHooks?
    }

    private let state = Guarded(State())

    var stdio: TaskStdio { state.withLock { $0.stdio } }

    var isPaused: Bool {
        get { state.withLock { $0.isPaused } }
        set { state.withLock { $0.isPaused = newValue } }
    }

    /// Of a container, whose entry is that of its init.
    var hooks: ContainerHooks? {
        get { state.withLock { $0.hooks } }
        set { state.withLock { $0.hooks = newValue } }
    }

    func created(_ stdio: TaskStdio, input: InputRelay?) {
        state.withLock { state in
            state.phase = .created
            state.stdio = stdio
            state.input = input
        }
    }

    var isCreating: Bool { state.withLock { if case .creating = $0.phase { true } else { false } } }

    /// Runs `body`, before whose end nobody is told that the process has ended.
    func starting<T>(_ body: () throws -> T) rethrows -> T {
        state.withLock { $0.phase = .starting }
        defer { state.withLock { $0.phase = .started } }
        return try body()
    }

    func waitUntilStartIsKnown() {
        _ = state.wait { state -> Bool? in if case .starting = state.phase { nil } else { true } }
    }

    /// Publishes the process's end by `body`, on a thread of its own; until it has, the end is not known.
    func publishEnd(_ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.endIsOwed = true }
        Thread.start("exit") { [self] in
            body()
            state.withLock { $0.endIsOwed = false }
        }
    }

    /// Blocks until the end has been published, if somebody does so. containerd takes a process's deletion for the last that
    /// is said of it.
    func waitUntilEndIsKnown() { _ = state.wait { $0.endIsOwed ? nil : true } }

    var input: InputRelay? { state.withLock { $0.input } }

    /// - Returns: whether it is the first time.
    func noteOutOfMemory() -> Bool {
        state.withLock { state in
            defer { state.wasOutOfMemory = true }
            return !state.wasOutOfMemory
        }
    }
}

/// All processes of a sandbox by name.
final class TaskTable: Sendable {
    private let entries = Guarded<[TaskName: TaskEntry]>([:])
    private let firstIsUnderWay = Guarded(false)

    /// Creates a container. As long as there is none, one at a time: the first makes the sandbox, and the others what they
    /// share with the first.
    /// - Parameter body: told whether no container is there.
    func creating<T>(_ body: (_ isFirst: Bool) throws -> T) rethrows -> T {
        let isFirst = firstIsUnderWay.wait { isUnderWay -> Bool? in
            if isUnderWay { return nil }
            isUnderWay = !hasContainer
            return isUnderWay
        }
        guard isFirst == true else { return try body(false) }
        defer { firstIsUnderWay.withLock { $0 = false } }
        return try body(true)
    }

    private var hasContainer: Bool {
        entries.withLock { $0.contains { $0.key.process.isEmpty && !$0.value.isCreating } }
    }

    /// - Throws: `SandboxError` when there is one of this name.
    func add(_ name: TaskName) throws(SandboxError) -> TaskEntry {
        try entries.withLock { entries throws(SandboxError) in
            guard entries[name] == nil else {
                throw SandboxError(
                    .alreadyExists,
                    name.process.isEmpty
                        ? "there is a container \(name.container) in this sandbox already"
                        : "container \(name.container) has a process \(name.process) already")
            }
            let entry = TaskEntry()
            entries[name] = entry
            return entry
        }
    }

    /// With a container go its processes.
    func remove(_ name: TaskName) {
        let removed = entries.withLock { entries in
            let names = name.process.isEmpty ? entries.keys.filter { $0.container == name.container } : [name]
            return names.compactMap { entries.removeValue(forKey: $0) }
        }
        for entry in removed { entry.input?.cancel() }
    }

    subscript(name: TaskName) -> TaskEntry? { entries.withLock { $0[name] } }

    var count: Int { entries.withLock { $0.count } }
}

/// A container, and a process of it: its init's name is empty.
struct TaskName: Hashable, Sendable {
    let container: String
    let process: String

    init(_ container: String, _ process: String = "") {
        self.container = container
        self.process = process
    }
}

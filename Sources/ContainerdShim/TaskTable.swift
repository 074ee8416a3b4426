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

import ContainerdAPI
import Glibc
import OCISpec
import Protobuf
import Sandbox
import System
import TTRPC

/// containerd's Task service over the sandbox: a task is a container, a process of it is named by its exec id.
///
/// Calls run on threads of their own, many at once: the engine keeps the order within a process, `TaskEntry` the order of
/// its events.
final class TaskService: Sendable {
    let service: SandboxService
    /// nil where the client is `cloister run`.
    let containerd: ContainerdOptions?
    let tasks = TaskTable()
    let events: EventPublisher
    /// The host's namespaces, which this process has left.
    let host: HostView?
    let log: ShimLog?
    /// nil for a pod that a container begins.
    let pod: PodSandbox?

    init(_ service: SandboxService, _ log: ShimLog?, pod: PodSandbox? = nil, host: HostView? = nil) {
        self.service = service
        containerd = service.options.containerd
        self.host = host
        self.log = log
        self.pod = pod
        events = EventPublisher(
            address: containerd?.events ?? "", namespace: containerd?.namespace ?? "", log: log)
    }

    var handlers: [Handler] {
        [
            both(TaskAPI.create) { try self.create($0) },
            both(TaskAPI.start) { try self.start($0) },
            both(TaskAPI.state) { try self.state($0) },
            both(TaskAPI.wait) { try self.wait($0) },
            both(TaskAPI.kill) { try self.kill($0) },
            both(TaskAPI.exec) { try self.exec($0) },
            both(TaskAPI.resizePty) { try self.resize($0) },
            both(TaskAPI.closeIO) { try self.closeIO($0) },
            both(TaskAPI.delete) { try self.delete($0) },
            both(TaskAPI.connect) { try self.connect($0) },
            both(TaskAPI.shutdown, then: { self.shutdown($0) }) { _ in Empty() },
            both(TaskAPI.pids) { try self.pids($0) },
            both(TaskAPI.pause) { try self.pause($0) },
            both(TaskAPI.resume) { try self.resume($0) },
            both(TaskAPI.update) { try self.update($0) },
            both(TaskAPI.stats) { try self.stats($0) },
            both(TaskAPI.checkpoint) { _ in
                throw RPCError(.unimplemented, "a sandbox's containers cannot be checkpointed")
            },
        ].flatMap { $0 }
    }

    /// The same method under both names of the service.
    private func both<Request, Response>(
        _ rpc: RPC<Request, Response>, then: (@Sendable (Request) -> Void)? = nil,
        _ body: @escaping @Sendable (Request) throws -> Response
    ) -> [Handler] {
        [.on(rpc, then: then, body), .on(RPC<Request, Response>(TaskAPI.version3, rpc.method), then: then, body)]
    }

    func process(_ request: TaskProcess) throws(SandboxError) -> ContainerProcess {
        try service.sandbox().container(request.id).process(request.execID)
    }

    /// What clients take for the process's number: on the host there is none but those of this process and its threads,
    /// whose namespaces are the pod's.
    func pid(_ process: ContainerProcess) -> UInt32 {
        if containerd == nil { return process.status.pid }
        return (try? service.sandbox().hostProcess(of: process)) ?? UInt32(getpid())
    }

    // MARK: - Create, Exec

    private func create(_ request: CreateTaskRequest) throws -> CreateTaskResponse {
        let name = TaskName(request.id)
        let stdio = TaskStdio(
            input: request.stdin, output: request.stdout, error: request.stderr, terminal: request.terminal)
        let container = try tasks.creating { isFirst in
            try make(name, stdio) { streams in
                containerd == nil
                    ? try createForClient(request, streams)
                    : try createForContainerd(request, streams, isFirst: isFirst)
            }
        }
        var response = CreateTaskResponse()
        response.pid = pid(try container.process(""))
        var event = TaskEvents.Create()
        event.containerID = request.id
        event.bundle = request.bundle
        event.rootfs = request.rootfs
        event.io = stdio.event
        event.pid = response.pid
        events.publish(event)
        try watch(name)
        container.onOutOfMemory { [weak self] in self?.publishOutOfMemory(request.id) }
        return response
    }

    /// Takes the name, opens the streams, and undoes both when `body` fails.
    private func make<T>(_ name: TaskName, _ stdio: TaskStdio, _ body: (Stdio) throws -> T) throws -> T {
        let entry = try tasks.add(name)
        do {
            let opened = try OpenedStdio(stdio) { uri throws(SandboxError) in
                try LogProgram(
                    uri, container: name.container, namespace: containerd?.namespace ?? "", host: host)
            }
            let made = try body(opened.streams)
            entry.created(stdio, input: opened.inputRelay)
            return made
        } catch {
            tasks.remove(name)
            throw error
        }
    }

    private func exec(_ request: ExecProcessRequest) throws -> Empty {
        guard let any = request.spec else { throw SandboxError(.invalid, "Exec carries no process") }
        guard !request.execID.isEmpty else { throw SandboxError(.invalid, "Exec names no process") }
        let process = try OCIJSON.decode(RuntimeSpec.Process.self, from: any.value)
        let sandbox = try service.sandbox()
        let container = try sandbox.container(request.id)
        let name = TaskName(request.id, request.execID)
        let stdio = TaskStdio(
            input: request.stdin, output: request.stdout, error: request.stderr,
            terminal: request.terminal || process.terminal)
        try make(name, stdio) {
            try sandbox.createProcess(in: container, id: request.execID, process: process, stdio: $0)
        }
        var event = TaskEvents.ExecAdded()
        event.containerID = request.id
        event.execID = request.execID
        events.publish(event)
        try watch(name)
        return Empty()
    }

    // MARK: - Start and end

    private func start(_ request: TaskProcess) throws -> StartResponse {
        let process = try process(request)
        let entry = tasks[TaskName(request.id, request.execID)]
        var response = StartResponse()
        response.pid = pid(process)
        func run() throws {
            try service.sandbox().configureNetwork()
            try service.sandbox().timings.measure("process start") { try process.start() }
            if containerd == nil { response.pid = process.status.pid }
            publishStart(request, response.pid)
        }
        if let entry { try entry.starting(run) } else { try run() }
        if request.execID.isEmpty { runHooks(.poststart, of: entry, pid: pid_t(response.pid)) }
        do { try entry?.input?.start() } catch {
            log?.error("standard input of \(request.id): \(error)")
            entry?.input?.cancel()
        }
        return response
    }

    private func publishStart(_ request: TaskProcess, _ pid: UInt32) {
        if request.execID.isEmpty {
            var event = TaskEvents.Start()
            event.containerID = request.id
            event.pid = pid
            events.publish(event)
        } else {
            var event = TaskEvents.ExecStarted()
            event.containerID = request.id
            event.execID = request.execID
            event.pid = pid
            events.publish(event)
        }
    }

    /// Publishes a process's end, after its start if there was one.
    private func watch(_ name: TaskName) throws {
        guard containerd != nil, let entry = tasks[name] else { return }
        let process = try process(TaskProcess(id: name.container, execID: name.process))
        let number = pid(process)
        entry.publishEnd { [self] in
            let exit = process.wait()
            entry.waitUntilStartIsKnown()
            if exit.outOfMemory, name.process.isEmpty { publishOutOfMemory(name.container) }
            var event = TaskEvents.Exit()
            event.containerID = name.container
            event.id = name.process.isEmpty ? name.container : name.process
            event.pid = number
            event.exitStatus = exit.status
            event.exitedAt = Timestamp(nanosecondsSinceEpoch: exit.atInNanosecondsSinceEpoch)
            events.publish(event)
        }
    }

    /// Once a container: by the guest's word, or with its init's end, whichever comes first.
    private func publishOutOfMemory(_ container: String) {
        guard let entry = tasks[TaskName(container)], entry.noteOutOfMemory() else { return }
        var event = TaskEvents.OOM()
        event.containerID = container
        events.publish(event)
    }

    private func wait(_ request: TaskProcess) throws -> WaitResponse {
        let exit = try process(request).wait()
        var response = WaitResponse()
        response.exitStatus = exit.status
        response.exitedAt = Timestamp(nanosecondsSinceEpoch: exit.atInNanosecondsSinceEpoch)
        return response
    }

    private func kill(_ request: KillRequest) throws -> Empty {
        let process = try process(TaskProcess(id: request.id, execID: request.execID))
        if case .stopped = process.status { throw RPCError(.notFound, "the process has already ended") }
        try process.signal(request.signal, all: request.all)
        return Empty()
    }

    private func delete(_ request: TaskProcess) throws -> DeleteResponse {
        let sandbox = try service.sandbox()
        let container = try sandbox.container(request.id)
        let process = try container.process(request.execID)
        let entry = tasks[TaskName(request.id, request.execID)]
        var response = DeleteResponse()
        response.pid = pid(process)
        try sandbox.delete(container, process: request.execID)
        entry?.waitUntilEndIsKnown()
        if case .stopped(_, let exit) = process.status {
            response.exitStatus = exit.status
            response.exitedAt = Timestamp(nanosecondsSinceEpoch: exit.atInNanosecondsSinceEpoch)
        }
        tasks.remove(TaskName(request.id, request.execID))
        if request.execID.isEmpty {
            runHooks(.poststop, of: entry, pid: nil)
            var event = TaskEvents.Delete()
            event.containerID = request.id
            event.pid = response.pid
            event.exitStatus = response.exitStatus
            event.exitedAt = response.exitedAt
            events.publish(event)
        }
        return response
    }

    /// Hooks whose failure changes nothing any more.
    private func runHooks(_ moment: ContainerHooks.Moment, of entry: TaskEntry?, pid: pid_t?) {
        do { try entry?.hooks?.run(moment, pid: pid) } catch { log?.error(error.description) }
    }

    /// With containerd, the server ends once it has no container: a pod's containers share it.
    private func shutdown(_ request: ShutdownRequest) {
        guard containerd != nil else { service.end() }
        if request.now || tasks.count == 0 && pod == nil { end() }
    }

    /// Ends the server once containerd has been told everything.
    func end() -> Never {
        events.flush(timeout: .seconds(5))
        service.end()
    }
}

extension ContainerProcess.Status {
    /// In the guest.
    var pid: UInt32 {
        switch self {
        case .created(let pid), .running(let pid), .stopped(let pid, _): pid
        }
    }
}

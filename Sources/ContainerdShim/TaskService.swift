import ContainerdAPI
import Glibc
import OCISpec
import Protobuf
import Sandbox
import System
import TTRPC

/// containerd's Task service over the sandbox: a task is a container, a process of it is named by its exec id.
struct TaskService: Sendable {
    private let service: SandboxService

    init(_ service: SandboxService) { self.service = service }

    var handlers: [Handler] {
        [
            .on(TaskAPI.create) { try create($0) },
            .on(TaskAPI.start) { try start($0) },
            .on(TaskAPI.state) { try state($0) },
            .on(TaskAPI.wait) { try wait($0) },
            .on(TaskAPI.kill) { try kill($0) },
            .on(TaskAPI.exec) { try exec($0) },
            .on(TaskAPI.resizePty) { try resize($0) },
            .on(TaskAPI.delete) { try delete($0) },
            .on(TaskAPI.connect) { try connect($0) },
            .on(TaskAPI.shutdown) { _ in service.end() },
        ]
    }

    private func create(_ request: CreateTaskRequest) throws -> CreateTaskResponse {
        guard let any = request.options, any.typeURL == SandboxOptions.typeURL else {
            throw SandboxError(.invalid, "Create carries no options of type \(SandboxOptions.typeURL)")
        }
        let options = try SandboxOptions(decoding: any.value)
        let path = "\(request.bundle)/config.json"
        let spec: RuntimeSpec
        do { spec = try OCIJSON.decode(RuntimeSpec.self, from: try Files.read(path)) } catch {
            throw SandboxError(.invalid, "\(path): \(error)")
        }
        let rootfs = request.rootfs.map {
            RootfsImage(path: $0.source, filesystem: $0.type, readOnly: $0.options.contains("ro"))
        }
        let stdio = try StdioURI.open(
            input: request.stdin, output: request.stdout, error: request.terminal ? "" : request.stderr)
        let container = try service.create(options).createContainer(
            id: request.id, bundle: request.bundle, spec: spec, rootfs: rootfs, stdio: stdio)
        var response = CreateTaskResponse()
        response.pid = try container.process("").status.pid
        return response
    }

    private func process(_ request: TaskProcess) throws -> ContainerProcess {
        try service.sandbox().container(request.id).process(request.execID)
    }

    private func start(_ request: TaskProcess) throws -> StartResponse {
        let process = try process(request)
        try service.sandbox().timings.measure("process start") { try process.start() }
        var response = StartResponse()
        response.pid = process.status.pid
        return response
    }

    private func state(_ request: TaskProcess) throws -> StateResponse {
        let container = try service.sandbox().container(request.id)
        var response = StateResponse()
        response.id = request.id
        response.execID = request.execID
        response.bundle = container.bundle
        let status = try container.process(request.execID).status
        response.pid = status.pid
        switch status {
        case .created: response.status = StateResponse.Status.created.rawValue
        case .running: response.status = StateResponse.Status.running.rawValue
        case .stopped(_, let exit):
            response.status = StateResponse.Status.stopped.rawValue
            response.exitStatus = exit.status
            response.exitedAt = Timestamp(nanosecondsSinceEpoch: exit.atInNanosecondsSinceEpoch)
        }
        return response
    }

    private func wait(_ request: TaskProcess) throws -> WaitResponse {
        let exit = try process(request).wait()
        var response = WaitResponse()
        response.exitStatus = exit.status
        response.exitedAt = Timestamp(nanosecondsSinceEpoch: exit.atInNanosecondsSinceEpoch)
        return response
    }

    private func kill(_ request: KillRequest) throws -> Empty {
        try process(TaskProcess(id: request.id, execID: request.execID)).signal(request.signal, all: request.all)
        return Empty()
    }

    private func exec(_ request: ExecProcessRequest) throws -> Empty {
        guard let any = request.spec else { throw SandboxError(.invalid, "Exec carries no process") }
        let process = try OCIJSON.decode(RuntimeSpec.Process.self, from: any.value)
        let stdio = try StdioURI.open(
            input: request.stdin, output: request.stdout, error: request.terminal ? "" : request.stderr)
        let sandbox = try service.sandbox()
        try sandbox.createProcess(in: sandbox.container(request.id), id: request.execID, process: process, stdio: stdio)
        return Empty()
    }

    private func resize(_ request: ResizePtyRequest) throws -> Empty {
        let process = try process(TaskProcess(id: request.id, execID: request.execID))
        try process.resize(rows: request.height, columns: request.width)
        return Empty()
    }

    private func delete(_ request: TaskProcess) throws -> DeleteResponse {
        let sandbox = try service.sandbox()
        let container = try sandbox.container(request.id)
        let status = try container.process(request.execID).status
        try sandbox.delete(container, process: request.execID)
        var response = DeleteResponse()
        response.pid = status.pid
        if case .stopped(_, let exit) = status {
            response.exitStatus = exit.status
            response.exitedAt = Timestamp(nanosecondsSinceEpoch: exit.atInNanosecondsSinceEpoch)
        }
        return response
    }

    private func connect(_ request: ConnectRequest) throws -> ConnectResponse {
        var response = ConnectResponse()
        response.shimPID = UInt32(getpid())
        response.taskPID = try process(TaskProcess(id: request.id)).status.pid
        response.version = "v2"
        return response
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

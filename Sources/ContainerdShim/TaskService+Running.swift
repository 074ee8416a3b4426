import ContainerdAPI
import Glibc
import OCISpec
import Protobuf
import Sandbox
import System
import TTRPC

/// What is asked of a container that runs.
extension TaskService {
    func state(_ request: TaskProcess) throws -> StateResponse {
        let container = try service.sandbox().container(request.id)
        let process = try container.process(request.execID)
        let entry = tasks[TaskName(request.id, request.execID)]
        var response = StateResponse()
        response.id = request.id
        response.execID = request.execID
        response.bundle = container.bundle
        response.pid = pid(process)
        if let stdio = entry?.stdio {
            response.stdin = stdio.input
            response.stdout = stdio.output
            response.stderr = stdio.error
            response.terminal = stdio.terminal
        }
        let status: StateResponse.Status
        switch process.status {
        case .created: status = .created
        case .running: status = tasks[TaskName(request.id)]?.isPaused == true ? .paused : .running
        case .stopped(_, let exit):
            status = .stopped
            response.exitStatus = exit.status
            response.exitedAt = Timestamp(nanosecondsSinceEpoch: exit.atInNanosecondsSinceEpoch)
        }
        response.status = status.rawValue
        return response
    }

    func connect(_ request: TaskReference) throws -> ConnectResponse {
        var response = ConnectResponse()
        response.shimPID = UInt32(getpid())
        // Not there yet, or no more: the server is, which is what is asked.
        if let process = try? process(TaskProcess(id: request.id)) { response.taskPID = pid(process) }
        response.version = "v2"
        return response
    }

    func resize(_ request: ResizePtyRequest) throws -> Empty {
        let process = try process(TaskProcess(id: request.id, execID: request.execID))
        try process.resize(rows: request.height, columns: request.width)
        return Empty()
    }

    func closeIO(_ request: CloseIORequest) throws -> Empty {
        _ = try process(TaskProcess(id: request.id, execID: request.execID))
        if request.stdin { tasks[TaskName(request.id, request.execID)]?.input?.close() }
        return Empty()
    }

    /// Of the guest: the host has none of them.
    func pids(_ request: TaskReference) throws -> PidsResponse {
        var response = PidsResponse()
        response.processes = try service.sandbox().container(request.id).processes().map { pid in
            var process = PidsResponse.Process()
            process.pid = pid
            return process
        }
        return response
    }

    func pause(_ request: TaskReference) throws -> Empty {
        let container = try service.sandbox().container(request.id)
        try container.pause()
        tasks[TaskName(request.id)]?.isPaused = true
        var event = TaskEvents.Paused()
        event.containerID = request.id
        events.publish(event)
        return Empty()
    }

    func resume(_ request: TaskReference) throws -> Empty {
        let container = try service.sandbox().container(request.id)
        try container.resume()
        tasks[TaskName(request.id)]?.isPaused = false
        var event = TaskEvents.Resumed()
        event.containerID = request.id
        events.publish(event)
        return Empty()
    }

    func update(_ request: UpdateTaskRequest) throws -> Empty {
        let container = try service.sandbox().container(request.id)
        guard let any = request.resources else { throw SandboxError(.invalid, "Update carries no resources") }
        let resources: RuntimeSpec.Resources
        do { resources = try OCIJSON.decode(RuntimeSpec.Resources.self, from: any.value) } catch {
            throw SandboxError(.invalid, "the resources to update cannot be read: \(error)")
        }
        try container.update(resources)
        return Empty()
    }

    func stats(_ request: TaskReference) throws -> StatsResponse {
        let stats = try service.sandbox().container(request.id).stats()
        var response = StatsResponse()
        response.stats = TaskMetrics.encode(stats)
        return response
    }
}

import AgentAPI
import Protobuf
import System
import TTRPC

/// What is asked of a container that runs.
extension Container {
    func update(_ resources: Resources) throws { try cgroup.apply(resources) }

    func pause() throws {
        try requireRunning()
        try cgroup.freeze()
    }

    func resume() throws {
        try requireRunning()
        try cgroup.thaw()
    }

    func listProcesses() throws -> ContainerProcesses {
        var response = ContainerProcesses()
        response.pids = try cgroup.processes().map { UInt32($0) }
        return response
    }
}

extension AgentProcess {
    var runningHandlers: [Handler] {
        [
            .on(Agent.updateContainer) {
                try self.container($0.containerID).update($0.resources)
                return Empty()
            },
            .on(Agent.pauseContainer) {
                try self.container($0.containerID).pause()
                return Empty()
            },
            .on(Agent.resumeContainer) {
                try self.container($0.containerID).resume()
                return Empty()
            },
            .on(Agent.containerProcesses) { try self.container($0.containerID).listProcesses() },
            .on(Agent.containerStats) { try self.container($0.containerID).cgroup.stats() },
            .on(Agent.waitOutOfMemory) { known in
                var count = known
                count.kills = try self.container(known.containerID).outOfMemory.wait(beyond: known.kills)
                return count
            },
        ]
    }
}

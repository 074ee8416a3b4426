import AgentAPI
import Glibc
import System
import TTRPC

/// The guest's containers by id.
final class ContainerRegistry: Sendable {
    private enum Entry {
        case beingMade
        case ready(Container)
        case beingRemoved
    }

    private let entries = Guarded<[String: Entry]>([:])

    /// Takes an id for a container that `make` builds. Waits for the removal of an earlier one.
    /// - Throws: `RPCError` `alreadyExists`, or what `make` throws.
    func add(_ id: String, _ make: () throws -> Container) throws -> Container {
        let isTaken = entries.wait { entries -> Bool? in
            switch entries[id] {
            case .beingRemoved: return nil
            case .beingMade, .ready: return true
            case nil:
                entries[id] = .beingMade
                return false
            }
        }
        if isTaken != false { throw RPCError(.alreadyExists, "container \(id) exists already") }
        do {
            let container = try make()
            entries.withLock { $0[id] = .ready(container) }
            return container
        } catch {
            entries.withLock { $0[id] = nil }
            throw error
        }
    }

    /// - Throws: `RPCError` `notFound`.
    func container(_ id: String) throws(RPCError) -> Container {
        guard case .ready(let container) = entries.withLock({ $0[id] }) else {
            throw RPCError(.notFound, "there is no container \(id)")
        }
        return container
    }

    /// Kills and takes down. Returns when nothing is left. - Throws: `RPCError` `notFound`.
    func remove(_ id: String) throws(RPCError) {
        let container = try entries.withLock { entries throws(RPCError) in
            guard case .ready(let container) = entries[id] else {
                throw RPCError(.notFound, "there is no container \(id)")
            }
            entries[id] = .beingRemoved
            return container
        }
        container.destroy()
        entries.withLock { $0[id] = nil }
    }

    /// Removes all, side by side.
    func removeAll() {
        let ids = entries.withLock { entries in
            entries.compactMap { id, entry in if case .ready = entry { id } else { nil } }
        }
        let removals = ids.map { id in Background("removal") { try self.remove(id) } }
        for removal in removals { try? removal.value() }
    }
}

extension AgentProcess {
    func create(_ request: CreateContainerRequest) throws -> ProcessResponse {
        let id = request.containerID
        guard Container.isID(id) else {
            throw RPCError(
                .invalidArgument, "\"\(id)\" cannot be a container's id: letters, digits, '_', '.' and '-', at most 128"
            )
        }
        return try containers.add(id) { try Container(request, agent: self) }.initResponse
    }

    func container(_ id: String) throws(RPCError) -> Container { try containers.container(id) }

    func process(_ reference: ProcessReference) throws -> GuestProcess {
        try container(reference.containerID).process(reference.processID)
    }

    func delete(_ reference: ProcessReference) throws {
        if reference.processID.isEmpty { return try containers.remove(reference.containerID) }
        try container(reference.containerID).deleteProcess(reference.processID)
    }

    /// Ends all containers and brings what they wrote to their disks.
    func stopEverything() {
        containers.removeAll()
        sync()
    }
}

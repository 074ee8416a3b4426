import Config
import OCISpec
import System

extension RunCommand {
    /// The container the command line describes.
    /// - Parameters:
    ///   - image: the image's own configuration.
    ///   - id: the container's; it is the host name where none was given.
    ///   - own: gives the variables of this process.
    /// - Throws: `UserError`.
    func spec(
        image: ImageConfig.Execution?, id: String, own: (String) -> String? = ContainerEnvironment.own
    ) throws -> RuntimeSpec {
        var spec: RuntimeSpec
        do {
            spec = try RuntimeSpec.container(image: image, overrides: try overrides(id: id, own: own))
        } catch let error as SpecError { throw UserError("\(error).") }
        spec.mounts = Self.mounts(spec.mounts, adding: tmpfs)
        for limit in ulimits {
            let type = "RLIMIT_\(limit.name.uppercased())"
            spec.process?.rlimits.removeAll { $0.type == type }
            spec.process?.rlimits.append(RuntimeSpec.Rlimit(type: type, hard: limit.hard, soft: limit.soft))
        }
        var resources = spec.linux?.resources ?? RuntimeSpec.Resources()
        if let memory { resources.memory = RuntimeSpec.Memory(limit: Int64(memory.bytes)) }
        if let cpus {
            // A period of 100 ms, as Docker has it; the kernel takes no quota below 1 ms.
            resources.cpu = RuntimeSpec.CPU(quota: max(cpus.thousandths * 100, 1000), period: 100_000)
        }
        if let pidsLimit { resources.pids = RuntimeSpec.Pids(limit: pidsLimit <= 0 ? -1 : pidsLimit) }
        spec.linux?.resources = resources
        return spec
    }

    private func overrides(id: String, own: (String) -> String?) throws -> ContainerOverrides {
        var overrides = ContainerOverrides()
        overrides.entrypoint = entrypoint.map { [$0] }
        overrides.command = command
        overrides.environment = try ContainerEnvironment.collect(
            files: environmentFiles, variables: environment, own: own)
        overrides.workingDirectory = workingDirectory
        overrides.user = user
        overrides.hostname = hostname?.value ?? id
        overrides.terminal = terminal
        overrides.readOnlyRoot = readOnly
        overrides.capAdd = addedCapabilities
        overrides.capDrop = droppedCapabilities
        for option in securityOptions {
            switch option {
            case .noNewPrivileges(let on): overrides.noNewPrivileges = on
            case .seccompUnconfined: overrides.seccomp = .unconfined
            case .seccomp(let path):
                let capabilities = try RuntimeSpec.Capabilities.names(
                    adding: addedCapabilities, dropping: droppedCapabilities)
                overrides.seccomp = .profile(try SeccompFile.read(path, capabilities: capabilities))
            }
        }
        return overrides
    }

    /// A tmpfs where the container has a mount already takes its place; what lies below it is mounted over it still.
    private static func mounts(_ defaults: [RuntimeSpec.Mount], adding tmpfs: [TmpfsMount]) -> [RuntimeSpec.Mount] {
        var mounts = defaults
        for wish in tmpfs {
            let mount = RuntimeSpec.Mount(destination: wish.path, type: "tmpfs", source: "tmpfs", options: wish.options)
            if let index = mounts.firstIndex(where: { $0.destination == wish.path }) {
                mounts[index] = mount
            } else {
                mounts.append(mount)
            }
        }
        return mounts
    }
}

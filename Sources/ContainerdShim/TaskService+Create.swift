import Config
import ContainerdAPI
import Glibc
import OCISpec
import Protobuf
import Sandbox
import System

extension TaskService {
    /// `cloister run`: the options say everything, the root is of images.
    func createForClient(_ request: CreateTaskRequest, _ streams: Stdio) throws -> Container {
        guard let any = request.options, any.typeURL == SandboxOptions.typeURL else {
            throw SandboxError(.invalid, "Create carries no options of type \(SandboxOptions.typeURL)")
        }
        let options = try SandboxOptions(decoding: any.value)
        let rootfs = request.rootfs.map {
            RootfsImage(
                path: $0.source, filesystem: $0.type, readOnly: $0.options.contains("ro"),
                isComplete: $0.options.contains(SandboxAPI.completeLayer))
        }
        return try service.create(options).createContainer(
            id: request.id, bundle: request.bundle, spec: try specification(request.bundle), root: .images(rootfs),
            stdio: streams)
    }

    /// containerd: the first container of a pod makes its sandbox.
    func createForContainerd(_ request: CreateTaskRequest, _ streams: Stdio, isFirst: Bool) throws -> Container {
        guard request.checkpoint.isEmpty else {
            throw SandboxError(.invalid, "a sandbox's container cannot be restored from a checkpoint")
        }
        let runtime = try PodConfiguration.runtimeClass(request.options)
        var spec = try specification(request.bundle)
        spec.unpinNamespaces(pod: getpid())
        if let pod { pod.complete(&spec, isFirst: isFirst) }
        let hooks = try ContainerHooks(spec, id: request.id, bundle: request.bundle, host: host)
        let options = service.options
        let sandbox = try service.podSandbox { [spec, host] in
            var configuration = try PodConfiguration.sandbox(
                id: options.id, stateDirectory: options.stateDirectory, runtime, spec)
            if let host {
                configuration.copyOfHost = { path throws(SystemError) in
                    try host.run("copy") { () throws(SystemError) in try MountTree(copying: path, recursively: true) }
                }
            }
            if let log { configuration.log = { log.error($0) } }
            if let path = spec.linux?.cgroupsPath, !path.isEmpty {
                try HostCgroup(cgroupsPath: path).join(record: options.cgroupRecord)
            }
            return configuration
        }
        do {
            let container = try sandbox.createContainer(
                id: request.id, bundle: request.bundle, spec: spec, root: try root(request, spec), stdio: streams)
            try run(hooks, container, in: sandbox)
            tasks[TaskName(request.id)]?.hooks = hooks
            pod?.watch(sandbox)
            return container
        } catch {
            if isFirst { service.discard(sandbox) }
            throw error
        }
    }

    /// The hooks that come before the start. When one fails, so does the container.
    private func run(_ hooks: ContainerHooks, _ container: Container, in sandbox: Sandbox) throws {
        do {
            let pid = pid_t(pid(try container.process("")))
            for moment in [ContainerHooks.Moment.prestart, .createRuntime] { try hooks.run(moment, pid: pid) }
        } catch {
            try? sandbox.delete(container, process: "")
            // What those before it have made.
            do { try hooks.run(.poststop, pid: nil) } catch { log?.error("\(error)") }
            throw error
        }
    }

    private func root(_ request: CreateTaskRequest, _ spec: RuntimeSpec) throws(SandboxError) -> ContainerRoot {
        guard request.rootfs.isEmpty else {
            return .mounts(
                request.rootfs.map {
                    RootfsMountSpec(type: $0.type, source: $0.source, target: $0.target, options: $0.options)
                })
        }
        guard let path = spec.root?.path, !path.isEmpty else {
            throw SandboxError(.invalid, "container \(request.id) has neither root mounts nor a \"root.path\"")
        }
        return .directory(path.hasPrefix("/") ? path : "\(request.bundle)/\(path)")
    }

    private func specification(_ bundle: String) throws(SandboxError) -> RuntimeSpec {
        do { return try PodSpec(bundle: bundle).spec } catch { throw SandboxError(.invalid, error.description) }
    }
}

import Config
import ContainerdAPI
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
            RootfsImage(path: $0.source, filesystem: $0.type, readOnly: $0.options.contains("ro"))
        }
        return try service.create(options).createContainer(
            id: request.id, bundle: request.bundle, spec: try specification(request.bundle), root: .images(rootfs),
            stdio: streams)
    }

    /// containerd: the first container of a pod makes its sandbox.
    func createForContainerd(_ request: CreateTaskRequest, _ streams: Stdio) throws -> Container {
        guard request.checkpoint.isEmpty else {
            throw SandboxError(.invalid, "a sandbox's container cannot be restored from a checkpoint")
        }
        let runtime = try PodConfiguration.runtimeClass(request.options)
        let spec = try specification(request.bundle)
        let options = service.options
        let sandbox = try service.podSandbox {
            let configuration = try PodConfiguration.sandbox(
                id: options.id, stateDirectory: options.stateDirectory, runtime, spec)
            if let path = spec.linux?.cgroupsPath, !path.isEmpty {
                try HostCgroup(cgroupsPath: path).join(record: options.cgroupRecord)
            }
            return configuration
        }
        do {
            return try sandbox.createContainer(
                id: request.id, bundle: request.bundle, spec: spec, root: try root(request, spec), stdio: streams)
        } catch {
            if tasks.count == 1 { service.discard(sandbox) }
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

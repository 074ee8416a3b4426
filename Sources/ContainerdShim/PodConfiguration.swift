import Config
import ContainerdAPI
import Glibc
import Hypervisor
import OCISpec
import Sandbox
import System

/// What a pod's sandbox is configured with.
enum PodConfiguration {
    /// - Parameter options: of the runtime class or of the task, as `Create` carries them.
    /// - Throws: `SandboxError` for what this runtime has no use for.
    static func runtimeClass(_ options: AnyMessage?) throws(SandboxError) -> RuntimeClass {
        let type = options?.typeURL.split(separator: "/").last.map(String.init) ?? ""
        // Clients that know runc alone send its options with every container; none of them means anything here.
        guard let options, !type.isEmpty, type != "containerd.runc.v1.Options" else { return RuntimeClass() }
        guard RuntimeOptions.typeURLs.contains(type) else {
            throw SandboxError(
                .invalid, "the runtime's options are of type \(type), which Cloister has no use for; leave them out")
        }
        do {
            let decoded = try RuntimeOptions(decoding: options.value)
            return RuntimeClass(configPath: decoded.configPath, configBody: decoded.configBody)
        } catch { throw SandboxError(.invalid, "the runtime's options cannot be read: \(error)") }
    }

    /// - Parameter spec: of the pod's first container.
    static func sandbox(
        id: String, stateDirectory: String, _ runtime: RuntimeClass, _ spec: RuntimeSpec
    ) throws -> SandboxConfiguration {
        let configuration = try Configuration.load(runtime).changed(byPod: spec.annotations)
        let installation = try Installation.locate(configuration)
        try KernelFile.validate(installation.kernel)
        let size = MachineSize.ofPod(spec, configuration)
        var result = SandboxConfiguration(
            id: id, stateDirectory: stateDirectory, kernel: installation.kernel, initramfs: installation.initramfs,
            memoryInBytes: size.memoryInBytes, vcpus: Int(size.vcpus), bootTimeout: configuration.bootTimeout,
            capabilityCache: dataDirectory(configuration) + "/qemu")
        result.accelerator = try accelerator(configuration.accelerator, runtime)
        result.isPod = true
        result.hasNetwork = true
        result.virtiofsd = try Virtiofsd.locate(configuration)
        return result
    }

    /// Emulation is no boundary, so nobody gets it without having asked.
    private static func accelerator(
        _ wish: Config.Accelerator, _ runtime: RuntimeClass
    ) throws(SandboxError) -> AcceleratorChoice {
        let choice = AcceleratorChoice(rawValue: wish.rawValue) ?? .auto
        let (accelerator, reason) = choice.resolve()
        if choice == .auto, accelerator == .emulation {
            let file = runtime.configPath.isEmpty ? Configuration.path() : runtime.configPath
            throw SandboxError(
                .invalid,
                "KVM cannot be used: \(reason); to run pods under emulation, which is slow and no security boundary, "
                    + "write accelerator = \"emulation\" into \(file ?? "the configuration file")")
        }
        return choice
    }

    /// As the image store has it.
    private static func dataDirectory(_ configuration: Configuration) -> String {
        if let set = Configuration.ownEnvironment("CLOISTER_DATA"), set.hasPrefix("/") { return set }
        return configuration.imageDirectory ?? "/var/lib/cloister"
    }
}

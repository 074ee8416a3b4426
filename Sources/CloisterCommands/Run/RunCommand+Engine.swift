import Config
import ContainerdAPI
import Glibc
import ImageStore
import OCISpec
import Registry
import SandboxClient
import Storage
import System

extension RunCommand {
    func run() throws {
        var timings = TimingsReport()
        // Before any thread: signals are blocked for all of them.
        let screen = terminal ? TerminalMode.ofThisProcess(keys: interactive) : nil
        let signals = try SignalForwarder(terminal: screen != nil) { signal in
            // The sandbox, if there is one, ends with this process.
            TerminalMode.restore()
            _exit(128 + signal)
        }
        signals.start()

        let configuration = try Configuration.load()
        let installation = try Installation.locate(configuration, kernel: kernel)
        try KernelFile.validate(installation.kernel)
        let id = name?.value ?? ContainerName.random()
        try SandboxProcess.requireRoom(for: id, in: configuration.stateDirectory)
        try StateDirectoryPath.prepare(configuration.stateDirectory)
        let store = try Stores.images(configuration)
        let options = sandboxOptions(configuration, installation, store.location)

        let builder = SandboxLayerBuilder(
            server: installation.server, stateDirectory: configuration.stateDirectory, options: options)
        let image = try self.image(store, builder)
        var spec = try spec(image: image.config.config, id: id)
        if let size = screen?.size {
            spec.process?.consoleSize = RuntimeSpec.ConsoleSize(height: UInt32(size.rows), width: UInt32(size.columns))
        }
        Notices.emulation(options.accelerator)
        Notices.firstProbe(options.capabilityCache)
        let layers = try timings.measure("image and layers") {
            try self.layers(of: image, store, builder)
        }
        let scratch = store.location.root + "/scratch"
        let disk = "\(scratch)/run-\(id).img"

        var request = ContainerRun(
            configuration: try OCIJSON.encode(spec),
            rootfs: layers.map { layer in
                Mount(
                    type: "ext4", source: layer.disk.path,
                    options: layer.isComplete ? ["ro", SandboxAPI.completeLayer] : ["ro"])
            } + [Mount(type: "ext4", source: disk, options: ["rw"])])
        request.options = options
        request.options.vcpus = max(options.vcpus, Self.vcpus(forDisks: request.rootfs.count))
        request.terminal = terminal
        request.prepare = {
            // There may be one of a sandbox of this name that was killed with everything around it.
            try Files.removeTree(disk)
            try ScratchDisk(directory: scratch).make(at: disk)
        }
        request.willStart = { signals.hold() }
        request.standardInput = interactive ? STDIN_FILENO : nil
        request.standardOutput = STDOUT_FILENO
        request.standardError = STDERR_FILENO
        let launch = SandboxProcess.Launch(
            id: id, program: installation.server, stateDirectory: configuration.stateDirectory,
            removeAtEnd: [disk])
        let container = try RunningContainer(launch, request)
        let session = RunSession(
            container: container, screen: screen, timeout: timeout?.duration, image: self.image,
            disk: disk)
        let result = withExtendedLifetime(layers) { session.follow(signals, &timings) }
        if let format = self.timings { Output.error(try timings.render(format)) }
        let status = try result.get()
        if status != 0 { throw ExitCode(status) }
    }

    /// A processor has some two hundred interrupts for its devices, and a disk takes two. One too many stays silent, and the
    /// guest with it.
    private static func vcpus(forDisks count: Int) -> UInt32 { 1 + UInt32(count / 80) }

    /// The image, from its registry where `--pull` says so; then its layers are unpacked as they come.
    private func image(_ store: ImageStore, _ builder: SandboxLayerBuilder) throws -> StoredImage {
        if pull != .always, let known = try store.find(image) {
            let platform = known.config.platform
            if (self.platform?.platform ?? .guest).distance(to: platform) != nil { return known }
            // Who asks for a platform asks for its image.
            if self.platform == nil || pull == .never {
                throw UserError(
                    "image \(known.displayName) is here for \(platform), and this machine runs \(Platform.guest); "
                        + "\"cloister pull \(known.displayName)\" brings the one for that.")
            }
        }
        guard pull != .never, let reference = try? store.names.reference(image) else { return try store.resolve(image) }
        var options = ImageStore.PullOptions()
        options.builder = builder
        options.platform = platform?.platform
        do { return try Pulls.pull(reference, store, options, .auto, plain: false).image } catch let error
            as RegistryError
            where pull == .missing
        {
            throw UserError(
                "there is no image \"\(store.names.shown(reference))\" here (\"cloister image load -i FILE\" brings one in), and its "
                    + "registry gives none: \(error).")
        }
    }

    /// The image's disks. Layers that it has lost come from its registry once more, unless `--pull` says never.
    private func layers(
        of image: StoredImage, _ store: ImageStore, _ builder: SandboxLayerBuilder
    ) throws -> [ImageLayer] {
        do { return try store.ensureLayers(image, builder: builder) } catch {
            let isRestored =
                pull != .never
                && ((try? Pulls.watched(.auto) { try store.restore(image, $0) }) ?? false)
            guard isRestored else { throw error }
            Output.error("cloister: layers of \(image.displayName) were lost or damaged here, and are fetched again\n")
        }
        return try store.ensureLayers(image, builder: builder)
    }

    private func sandboxOptions(
        _ configuration: Configuration, _ installation: Installation, _ store: StoreLocation
    ) -> SandboxOptions {
        let size = MachineSize(memoryLimitInBytes: memory?.bytes, vcpus: cpus?.vcpus, configuration)
        var options = SandboxOptions()
        options.accelerator = (accelerator ?? configuration.accelerator).rawValue
        options.kernel = installation.kernel
        options.initramfs = installation.initramfs
        options.memoryInBytes = size.memoryInBytes
        options.vcpus = size.vcpus
        let bootTimeout = self.bootTimeout?.duration ?? configuration.bootTimeout
        options.bootTimeoutInMilliseconds = UInt64(clamping: bootTimeout.milliseconds)
        options.capabilityCache = store.root + "/qemu"
        return options
    }
}

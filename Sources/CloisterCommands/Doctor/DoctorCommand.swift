import Config

/// `cloister doctor`.
struct DoctorCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "doctor", abstract: "Say what this machine can and cannot do, and how to mend it.",
            discussion: """

                "ok" is as it should be, with "warning" sandboxes run nevertheless, and with "missing" none can. The \
                exit status is 0 only if a sandbox can run.
                """)
    }

    @Option("format", value: "FORMAT", help: ListFormat.help)
    var format: ListFormat = .table

    func run() throws {
        let checks = Self.checks()
        Output.standard(try Check.listing.render(checks, format))
        if checks.contains(where: { $0.state == .missing }) { throw ExitCode.failure }
    }

    /// Every check, in the order a person would mend things.
    static func checks() -> [Check] {
        let configuration: Configuration
        var checks: [Check] = []
        do throws(ConfigurationError) {
            let loaded = try Configuration.load()
            _ = try Stores.names(loaded)
            configuration = loaded
            checks.append(MachineChecks.configuration())
        } catch {
            configuration = Configuration()
            checks.append(.missing("configuration", error.description, "until then the defaults are checked below"))
        }
        let qemu = QEMUChecks()
        checks += [
            MachineChecks.user(), MachineChecks.hostKernel(), MachineChecks.memory(configuration.memoryInBytes),
            AcceleratorChecks.accelerator(configuration.accelerator),
            AcceleratorChecks.device(configuration.accelerator),
            LibvirtChecks.library(), LibvirtChecks.driver(), qemu.program(), qemu.vsockDevice(),
            InstallationChecks.server(configuration), InstallationChecks.kernel(configuration),
            InstallationChecks.initramfs(configuration), MachineChecks.mkfs(),
            DirectoryChecks.state(configuration.stateDirectory),
        ]
        do { checks.append(DirectoryChecks.images(try Stores.location(configuration).root)) } catch {
            checks.append(.missing("images", "\(error)", "see the configuration key image_directory"))
        }
        return checks + ContainerdChecks.all(configuration)
    }
}

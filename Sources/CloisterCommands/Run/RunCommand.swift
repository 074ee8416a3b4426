import Config
import Glibc
import OCISpec
import System

/// `cloister run`: what can be said, and what it means for the container and its virtual machine.
struct RunCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "run", abstract: "Run a command in a new container.",
            discussion: """

                Flags mean what they mean in Docker and come before IMAGE; what follows it is the command and its \
                arguments. The exit status is the command's; 124 when --timeout ended it, 125 when Cloister itself \
                failed, 126 when the command cannot be executed, 127 when it is not there, and 128 + n when signal n \
                ended it.
                """,
            flagsEndAtFirstArgument: true)
    }

    @Flag("i", "interactive", help: "Pass standard input to the container.") var interactive
    @Flag("t", "tty", help: "Give the container a terminal.") var terminal
    @Flag("rm", help: "Remove the container when it ends; as nothing is kept yet, this is always done.") var remove
    @Option("name", value: "NAME", help: "Name the container; by default it gets a random one.")
    var name: ContainerName?
    @Option(
        "e", "env", value: "NAME[=VALUE]", help: "Set a variable; without a value, take it from this environment.")
    var environment: [String]
    @Option("env-file", value: "FILE", help: "Set the variables of a file of NAME=VALUE lines.")
    var environmentFiles: [String]
    @Option("w", "workdir", value: "DIR", help: "Start the command in this directory.") var workingDirectory: String?
    @Option("u", "user", value: "USER[:GROUP]", help: "Run the command as this user, by name or number.")
    var user: String?
    @Option("entrypoint", value: "PROGRAM", help: "Replace the image's entry point; an empty one takes it away.")
    var entrypoint: String?
    @Option(
        "pull", value: "missing|always|never",
        help:
            "Whether to fetch the image from its registry: when it is not here, which is the default, always, or never."
    )
    var pull: PullPolicy = .missing
    @Option(
        "platform", value: "OS/ARCHITECTURE",
        help: "Run the image for this platform, which must be this machine's; pull and save take others."
    )
    var platform: PlatformArgument?
    @Option("h", "hostname", value: "NAME", help: "The container's host name; by default its name.")
    var hostname: Hostname?
    @Option("m", "memory", value: "BYTES", help: "Limit memory, e.g. 64m or 1g. Also sizes the virtual machine.")
    var memory: ByteSize?
    @Option("cpus", value: "NUMBER", help: "Limit CPU time, e.g. 1.5. Also sizes the virtual machine.")
    var cpus: CPUCount?
    @Option("pids-limit", value: "NUMBER", help: "Limit the number of processes; -1 is no limit.")
    var pidsLimit: Int64?
    @Option("ulimit", value: "NAME=SOFT[:HARD]", help: "Set a resource limit, e.g. nofile=1024:4096.")
    var ulimits: [Ulimit]
    @Flag("read-only", help: "Mount the root filesystem read-only.") var readOnly
    @Option("tmpfs", value: "DIR[:OPTIONS]", help: "Mount a tmpfs, e.g. /tmp:size=64m,exec.") var tmpfs: [TmpfsMount]
    @Option("cap-add", value: "CAPABILITY", help: "Add a Linux capability, e.g. NET_ADMIN, or ALL.")
    var addedCapabilities: [String]
    @Option("cap-drop", value: "CAPABILITY", help: "Drop a Linux capability, or ALL.") var droppedCapabilities: [String]
    @Option(
        "security-opt", value: "OPTION",
        help: "seccomp=unconfined, seccomp=FILE with a profile of one's own, or no-new-privileges[:true|false].")
    var securityOptions: [SecurityOption]
    @Option("network", value: "none", help: "The container's network: none, which is also the default.")
    var network: NetworkWish?
    @Option(
        "accelerator", value: "auto|kvm|emulation",
        help:
            "What carries the virtual machine. auto takes KVM where it works, else slow emulation, and says so."
    )
    var accelerator: Accelerator?
    @Option("kernel", value: "FILE", help: "Boot this kernel, an uncompressed vmlinux.") var kernel: String?
    @Option("boot-timeout", value: "TIME", help: "Give up when the guest has not reported in by then.")
    var bootTimeout: TimeSpan?
    @Option("timeout", value: "TIME", help: "Kill the container after this time, e.g. 30 (seconds) or 1m30s.")
    var timeout: TimeSpan?
    @Option(
        "timings", value: "table|json", ifBare: "table",
        help: "Print where the time went, on standard error at the end.")
    var timings: TimingsFormat?
    @Argument("IMAGE", help: "The image to run: a name, or an id as `cloister image list` shows it.") var image: String
    @Argument("COMMAND", help: "The command and its arguments, instead of the image's own.") var command: [String]

    /// Of `--memory`: what a small program needs to start at all, and Docker's own minimum.
    static let smallestLimitInBytes: UInt64 = 6 << 20

    func validate() throws {
        if image.isEmpty { throw UserError("cloister run needs IMAGE, which is an empty string here.") }
        if let platform = platform?.platform, !platform.runsHere {
            throw UserError(
                "--platform: this machine runs \(Platform.guest), not \(platform); \"cloister pull --platform \(platform) "
                    + "\(image)\" brings that image here to be saved or pushed elsewhere.")
        }
        if interactive && terminal && isatty(STDIN_FILENO) == 0 {
            throw UserError("the input device is not a TTY; leave -t out, or run this from a terminal.")
        }
        if let memory, memory.bytes < Self.smallestLimitInBytes {
            throw UserError(
                "--memory: \(memory.bytes) bytes are too few to run a command in; the minimum is "
                    + "\(Self.smallestLimitInBytes >> 20)m.")
        }
        // A limit that a container alone would never reach is the size of a machine here.
        let host = HostCapacity.own
        let mebibytes = host.memoryInBytes >> 20
        if let memory, memory.bytes >> 20 > mebibytes {
            throw UserError("--memory: this machine has \(mebibytes) MiB; ask for at most \(mebibytes)m.")
        }
        if let cpus, cpus.vcpus > host.cpus {
            throw UserError("--cpus: this machine has \(host.cpus) CPUs; ask for at most \(host.cpus).")
        }
    }
}

/// `cloister system`.
struct SystemCommand: CommandGroup {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "system", abstract: "Say what Cloister takes of this machine.", subcommands: [SystemDiskCommand.self])
    }
}

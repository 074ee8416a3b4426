/// `cloister containerd`.
struct ContainerdCommand: CommandGroup {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "containerd", abstract: "Help containerd run its containers and pods with Cloister.",
            subcommands: [ContainerdConfigCommand.self])
    }
}

/// `cloister image`.
struct ImageCommand: CommandGroup {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "image", abstract: "Bring in, list and remove images.",
            subcommands: [
                ImagePullCommand.self, ImageLoadCommand.self, ImageListCommand.self, ImageInspectCommand.self,
                ImageRemoveCommand.self,
            ])
    }
}

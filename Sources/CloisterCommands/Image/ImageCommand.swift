/// `cloister image`.
struct ImageCommand: CommandGroup {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "image", abstract: "Bring in, list, save, check and remove images.",
            subcommands: [
                ImagePullCommand.self, ImagePushCommand.self, ImageLoadCommand.self, ImageSaveCommand.self,
                ImageListCommand<ImageListSpelling>.self, ImageInspectCommand.self, ImageHistoryCommand.self,
                ImageTagCommand.self, ImageRemoveCommand<ImageRemoveSpelling>.self, ImagePruneCommand.self,
                ImageVerifyCommand.self,
            ])
    }
}

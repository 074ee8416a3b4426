import Config
import Glibc
import ImageStore

/// `cloister image prune`.
struct ImagePruneCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "prune", abstract: "Remove images without a name, or all that no container runs on, and what is left over.")
    }

    @Flag("a", "all", help: "Remove all images that no container runs on, and the beginnings of interrupted pulls.")
    var all
    @Flag("f", "force", help: "Do not ask.") var force
    @Option("filter", value: "KEY=VALUE", help: "Remove those alone: until=24h, label=KEY[=VALUE], dangling=false.")
    var filters: [ImageFilter]

    func validate() throws {
        if let other = filters.first(where: { ![.until, .label, .dangling].contains($0.key) }) {
            throw UserError("--filter: prune knows until, label and dangling, not \(other.key.rawValue).")
        }
    }

    func run() throws {
        let store = try Stores.images(try Configuration.load())
        let isAll = all || filters.contains { $0.key == .dangling && ["false", "0"].contains($0.value) }
        if !force {
            let what = isAll ? "all images that no container runs on" : "all images without a name"
            Output.error("This removes \(what). Go on? [y/N] ")
            guard let answer = readLine()?.lowercased(), ["y", "yes"].contains(answer) else {
                throw UserError("nothing was removed; answer y, or say -f.")
            }
        }
        let rest = filters.filter { $0.key != .dangling }
        let condition = try ImageFilter.condition(rest, store, now: Double(time(nil)))
        let pruned = try store.prune(keepsPauses: !isAll || !rest.isEmpty) {
            (isAll || $0.reference == nil) && condition($0)
        }
        for name in pruned.removed { Output.standard("Removed: \(store.names.shown(name))\n") }
        Output.standard("Freed: \(Human.size(pruned.freedInBytes))\n")
        if pruned.isLeftToOthers {
            Output.error("cloister: images are being brought in; content that none needs goes when they are here.\n")
        }
    }
}

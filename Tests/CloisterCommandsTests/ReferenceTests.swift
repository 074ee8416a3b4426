import Config
import Glibc
import System
import Testing

@testable import CloisterCommands

@Suite struct ReferenceTests {
    @Test func theCommandReferenceMatchesTheCommands() throws {
        let root = Files.parent(of: Files.parent(of: Files.parent(of: #filePath)))
        let path = "\(root)/docs/commands.md"
        if getenv("CLOISTER_WRITE_DOCS") != nil { try Files.write(path, Reference.markdown, mode: 0o644) }
        #expect(try Files.readText(path) == Reference.markdown)
    }

    /// Every command, by its path.
    static func commands(_ path: [any Command.Type] = [RootCommand.self]) -> [[any Command.Type]] {
        let below = path.last?.configuration.subcommands ?? []
        return [path] + below.flatMap { commands(path + [$0]) }
    }

    @Test func everyCommandIsDescribed() {
        let paths = Self.commands()
        #expect(paths.count == 27)
        for path in paths {
            let help = Help(path: path).text
            #expect(help.hasPrefix("Usage: \(CommandLineParser.spell(path))"))
            for line in help.split(separator: "\n") { #expect(line.count <= 100, "too long: \(line)") }
            guard let type = path.last else { continue }
            for declaration in CommandLineParser.properties(of: type.init()).map(\.declaration) {
                #expect(declaration.help.hasSuffix("."), "\(declaration.title) is not described by a sentence")
                for name in declaration.names { #expect(help.contains(Declaration.spell(name))) }
            }
        }
    }

    @Test func noNameIsDeclaredTwice() {
        for path in Self.commands() {
            guard let type = path.last else { continue }
            let names = CommandLineParser.properties(of: type.init()).flatMap(\.declaration.names)
            #expect(Set(names).count == names.count)
        }
    }

    @Test func defaultsOfTheConfigurationAreAsDocumented() {
        let configuration = Configuration(environment: { _ in nil })
        let standard = Dictionary(uniqueKeysWithValues: ConfigurationKey.all.map { ($0.name, $0.standard) })
        #expect(standard["accelerator"] == "\"\(configuration.accelerator.rawValue)\"")
        #expect(standard["memory"] == "\"\(configuration.memoryInBytes >> 20)m\"")
        #expect(standard["cpus"] == "\(configuration.cpus)")
        #expect(standard["boot_timeout"] == "\"\(configuration.bootTimeout.spelled)\"")
    }
}

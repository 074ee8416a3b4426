import Config

/// `docs/commands.md`: what `--help` prints, of every command, and the configuration file's keys. Made from the same
/// declarations; a test holds the file to it.
enum Reference {
    static var markdown: String {
        var text = """
            <!-- Made from the commands' declarations: CLOISTER_WRITE_DOCS=1 swift test --filter ReferenceTests -->


            """
        text += Help(path: [RootCommand.self]).markdown
        text += """

            ## Exit status

            | status | meaning |
            |---|---|
            | 0–255 | of `cloister run`: the command's own |
            | 124 | `--timeout` ended the container |
            | 125 | Cloister itself failed; a sentence on standard error says why and what to do |
            | 126 | the command cannot be executed |
            | 127 | the command is not in the image |
            | 128 + n | signal n ended the command |

            ## Configuration

            `/etc/cloister/config.toml` for root, `$XDG_CONFIG_HOME/cloister/config.toml` (usually
            `~/.config/cloister/config.toml`) for others, or the file that `CLOISTER_CONFIG` names. Without a file
            every key has its default. A key that is not listed here is an error.

            | key | default | meaning |
            |---|---|---|

            """
        for key in ConfigurationKey.all {
            let isLiteral = key.standard.first.map { "\"[".contains($0) || $0.isNumber } ?? false
            let standard = isLiteral ? "`\(key.standard)`" : key.standard
            text += "| `\(key.name)` | \(standard) | \(key.help) |\n"
        }
        return text
    }
}

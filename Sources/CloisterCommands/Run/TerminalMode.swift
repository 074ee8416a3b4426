import CSystem
import Glibc
import System

/// The terminal this command runs in, while a container's program has it: keys go there as they are typed.
struct TerminalMode: Sendable {
    /// A terminal of this process.
    let descriptor: Int32
    /// Whether what is typed goes to the container.
    var keys = true

    /// The terminal on standard input or output; nil where neither is one.
    static func ofThisProcess(keys: Bool) -> TerminalMode? {
        let found = [STDIN_FILENO, STDOUT_FILENO].first { isatty($0) != 0 }
        return found.map { TerminalMode(descriptor: $0, keys: keys) }
    }

    /// Does nothing where keys are not the container's. What was typed before is kept. The settings come back by
    /// `restore`, at exit, and on a crash of this process.
    /// - Throws: `UserError`. From the background this stops the process until it is brought to the front, as for any
    ///   program.
    func makeRaw() throws(UserError) {
        guard keys else { return }
        guard cs_terminal_make_raw(descriptor) == 0 else {
            throw UserError("the terminal cannot be set up: \(SystemError("tcsetattr")); leave -t out.")
        }
    }

    /// Does nothing when the terminal is as it was.
    static func restore() { cs_terminal_restore() }

    /// Rows and columns; nil where they are not known.
    var size: (rows: UInt16, columns: UInt16)? {
        var rows: UInt16 = 0
        var columns: UInt16 = 0
        guard cs_get_window_size(descriptor, &rows, &columns) == 0, rows > 0, columns > 0 else { return nil }
        return (rows, columns)
    }
}

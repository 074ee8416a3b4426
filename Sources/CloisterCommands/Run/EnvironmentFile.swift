import Glibc
import System

/// `-e` and `--env-file`, as Docker reads them.
enum ContainerEnvironment {
    /// Of an env file, in bytes.
    static let largestFileInBytes = 1 << 20

    /// The files' variables, then those of `-e`, as `NAME=value`, or `NAME` alone for one that is to be taken away.
    /// - Parameter own: gives the variables of this process, for those named without a value.
    /// - Throws: `UserError`.
    static func collect(
        files: [String], variables: [String], own: (String) -> String?
    ) throws(UserError) -> [String] {
        var result: [String] = []
        for path in files {
            let bytes: [UInt8]
            do { bytes = try Files.read(path, limit: largestFileInBytes) } catch {
                throw UserError("--env-file: \(error); give a file of NAME=value lines that can be read.")
            }
            result += try parse(bytes, path: path, own: own)
        }
        for variable in variables {
            guard let name = variable.split(separator: "=", omittingEmptySubsequences: false).first, !name.isEmpty
            else {
                throw UserError("-e: \"\(variable)\" has no name; write NAME=value.")
            }
            result.append(variable.contains("=") ? variable : resolve(variable, own) ?? variable)
        }
        return result
    }

    /// Lines of `NAME=value`, the value kept as it is; `NAME` alone is taken from this process and left out where it is
    /// not set; `#` begins a comment line.
    static func parse(_ bytes: [UInt8], path: String, own: (String) -> String?) throws(UserError) -> [String] {
        guard var text = String(validating: bytes, as: UTF8.self) else {
            throw UserError("--env-file: \(path) is not UTF-8 text.")
        }
        if text.first == "\u{FEFF}" { text.removeFirst() }
        var result: [String] = []
        for (index, raw) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let line = raw.drop { $0 == " " || $0 == "\t" }
            if line.isEmpty || line.first == "#" { continue }
            let name = line.prefix { $0 != "=" }
            guard !name.isEmpty else {
                throw UserError("--env-file: \(path), line \(index + 1), has no name before the \"=\".")
            }
            guard !name.contains(where: \.isWhitespace) else {
                throw UserError("--env-file: \(path), line \(index + 1): the name \"\(name)\" has a space in it.")
            }
            if name.count < line.count {
                result.append(String(line))
            } else if let entry = resolve(String(name), own) {
                result.append(entry)
            }
        }
        return result
    }

    private static func resolve(_ name: String, _ own: (String) -> String?) -> String? {
        own(name).map { "\(name)=\($0)" }
    }

    /// This process's own variable.
    static func own(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}

import Config
import Glibc
import ImageStore
import System

/// `cloister image load`.
struct ImageLoadCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "load", abstract: "Bring in images from a file or directory.",
            discussion: """

                Takes an OCI image layout (a directory or a tar of it) or a tar as `docker save` makes it, plain or \
                compressed by gzip, zstd or xz.
                """)
    }

    @Option("i", "input", value: "FILE|DIR", help: "What to read; without it, or for \"-\", standard input.")
    var input: String?
    @Option("name", value: "NAME", help: "Call the image this, whatever the archive says; for an archive of one image.")
    var name: String?
    @Option(
        "platform", value: "OS/ARCHITECTURE",
        help: "Bring in images for this platform, like linux/arm/v7, and not this machine's."
    )
    var platform: PlatformArgument?
    @Flag("q", "quiet", help: "Print nothing.") var quiet

    func run() throws {
        let store = try Stores.images(try Configuration.load())
        for image in try load(into: store) where !quiet {
            Output.standard(
                image.reference.map { "Loaded image: \(store.names.shown($0))\n" }
                    ?? "Loaded image ID: \(image.configDigest)\n"
            )
        }
    }

    private func load(into store: ImageStore) throws -> [ImageStore.Loaded] {
        if let input, input != "-" { return try store.load(from: input, name: name, platform: platform?.platform) }
        if isatty(STDIN_FILENO) != 0 {
            throw UserError("there is no image on standard input, which is a terminal; give a file with -i FILE.")
        }
        let file = try Self.seekable(STDIN_FILENO, spoolingIn: store.location.root)
        let path = "/proc/self/fd/\(file?.raw ?? STDIN_FILENO)"
        do {
            return try withExtendedLifetime(file) {
                try store.load(from: path, name: name, platform: platform?.platform)
            }
        } catch let error as ImageError {
            throw ImageError(error.description.replacing(path, with: "standard input"))
        }
    }

    /// An archive is read more than once. What cannot be read from its beginning again, such as a pipe, is copied to a
    /// file that has no name and so goes with this process.
    /// - Returns: the copy, or nil when `source` is a file itself.
    private static func seekable(_ source: Int32, spoolingIn directory: String) throws -> FileDescriptor? {
        var info = stat()
        if fstat(source, &info) == 0, info.st_mode & S_IFMT == S_IFREG { return nil }
        // O_TMPFILE (open(2)) is __O_TMPFILE | O_DIRECTORY, a macro that Swift does not import.
        let file = try FileDescriptor.open(directory, O_RDWR | 0o20000000 | O_DIRECTORY)
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = try syscall("read", "standard input") { read(source, &chunk, chunk.count) }
            if count == 0 { return file }
            do { try file.writeAll(Array(chunk[..<count])) } catch {
                guard error.errno == ENOSPC || error.errno == EDQUOT else { throw error }
                throw UserError(
                    "no space left on \(directory) for the image on standard input; free space there, or load it "
                        + "from a file with -i FILE.")
            }
        }
    }
}

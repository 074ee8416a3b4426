import Config
import Glibc
import ImageStore
import System

/// `cloister image save`.
struct ImageSaveCommand: Command {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            "save", abstract: "Write images to a file.",
            discussion: """

                The file is an OCI image layout in a tar, with the manifest.json of `docker save` in it: `cloister image load`, \
                `docker load`, `podman load` and `skopeo copy oci-archive:FILE:NAME` read it. Digests stay what they are.
                """)
    }

    @Option("o", "output", value: "FILE", help: "What to write; without it, standard output.") var output: String?
    @Option(
        "platform", value: "OS/ARCHITECTURE",
        help: "Fail unless the images are for this platform; each is here for one."
    )
    var platform: PlatformArgument?
    @Argument("IMAGE", required: true, help: "Names or ids of images; one given by its id has no name in the file.")
    var images: [String]

    func run() throws {
        let store = try Stores.images(try Configuration.load())
        guard let output, output != "-" else {
            if isatty(STDOUT_FILENO) != 0 {
                throw UserError("an image is nothing for a terminal; give a file with -o FILE, or a pipe.")
            }
            return try store.save(images, platform: platform?.platform, to: STDOUT_FILENO, path: "standard output")
        }
        var info = stat()
        if stat(output, &info) == 0, info.st_mode & S_IFMT != S_IFREG {
            if info.st_mode & S_IFMT == S_IFDIR {
                throw UserError("\(output) is a directory; give the name of a file to write.")
            }
            let file = try FileDescriptor.open(output, O_WRONLY)
            return try store.save(images, platform: platform?.platform, to: file.raw, path: output)
        }
        // A file of this name is the old one or the new one, whole.
        let temporary = "\(output).\(getpid()).part"
        let file: FileDescriptor
        do { file = try FileDescriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600) } catch {
            throw UserError("\(output) cannot be written: \(String(cString: strerror(error.errno))).")
        }
        do {
            try store.save(images, platform: platform?.platform, to: file.raw, path: output)
            try syscall("rename", output) { rename(temporary, output) }
        } catch {
            unlink(temporary)
            throw error
        }
    }
}

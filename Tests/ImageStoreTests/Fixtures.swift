import Glibc
import OCISpec
import System

@testable import ImageStore

/// A directory that goes with the test.
final class Workspace: Sendable {
    let path: String

    init() throws {
        path = "/tmp/cloister-images.\(getpid()).\(UInt64.random(in: 0 ... .max))"
        try Files.makeDirectories(path, mode: 0o755)
    }

    deinit { try? Files.removeTree(path) }

    func store(note: @escaping @Sendable (String) -> Void = { _ in }) throws -> ImageStore {
        try ImageStore(StoreLocation(root: path + "/store"), note: note)
    }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let target = "\(path)/\(name)"
        try Files.makeDirectories(Files.parent(of: target))
        try Files.write(target, bytes, mode: 0o644)
        return target
    }

    /// Writes pieces as a directory.
    func directory(_ name: String, _ pieces: [Piece]) throws -> String {
        for piece in pieces { _ = try write("\(name)/\(piece.name)", piece.bytes) }
        return "\(path)/\(name)"
    }

    /// Runs a program to its end. - Returns: whether it succeeded.
    func run(_ program: String, _ arguments: [String]) throws -> Bool {
        let log = try FileDescriptor.open(path + "/log", O_WRONLY | O_CREAT | O_APPEND)
        let null = try FileDescriptor.open("/dev/null", O_RDONLY)
        return try ChildProcess.spawn(
            "/usr/bin/env", [program] + arguments, descriptors: [null.raw, log.raw, log.raw]
        ).wait() == .exited(0)
    }
}

/// A file of an archive, or a link in it.
struct Piece {
    var name: String
    var bytes: [UInt8] = []
    var link: String?
    /// What the header says, when that is not the truth.
    var claimedSize: Int64?
}

/// A ustar archive (POSIX.1-2017, pax, "ustar Interchange Format").
func tar(_ pieces: [Piece]) -> [UInt8] {
    var result: [UInt8] = []
    for piece in pieces {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, _ offset: Int) {
            header.replaceSubrange(offset..<offset + text.utf8.count, with: Array(text.utf8))
        }
        func octal(_ value: Int64, _ width: Int) -> String {
            let digits = String(value, radix: 8)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        put(piece.name, 0)
        put("0000644", 100)
        put("0000000", 108)
        put("0000000", 116)
        put(octal(piece.claimedSize ?? Int64(piece.bytes.count), 11), 124)
        put("00000000000", 136)
        put("        ", 148)
        put(piece.link == nil ? "0" : "2", 156)
        if let link = piece.link { put(link, 157) }
        put("ustar\u{0}00", 257)
        put(octal(header.reduce(0) { $0 + Int64($1) }, 6) + "\u{0}", 148)
        result += header + piece.bytes
        result += [UInt8](repeating: 0, count: (512 - piece.bytes.count % 512) % 512)
    }
    return result + [UInt8](repeating: 0, count: 1024)
}

/// An image in the making, to be spoilt where a test wants.
struct ImageFixture {
    var name: String? = "docker.io/library/fixture:latest"
    var platform = Platform.guest
    /// Uncompressed tars, lowest first.
    var layers: [[UInt8]] = [tar([Piece(name: "a", bytes: [1, 2, 3])]), tar([Piece(name: "b", bytes: [4])])]
    var layerType = MediaType.layerTar
    var execution = ImageConfig.Execution(Cmd: ["sh"])

    var config: [UInt8] {
        let value = ImageConfig(
            architecture: platform.architecture, os: platform.os, config: execution,
            rootfs: ImageConfig.RootFS(diff_ids: layers.map { Digest.of($0).description }))
        return (try? OCIJSON.encode(value)) ?? []
    }

    var manifest: [UInt8] {
        let value = ImageManifest(
            config: Descriptor(
                mediaType: MediaType.config, digest: Digest.of(config).description, size: Int64(config.count)),
            layers: layers.map {
                Descriptor(mediaType: layerType, digest: Digest.of($0).description, size: Int64($0.count))
            })
        return (try? OCIJSON.encode(value)) ?? []
    }

    var descriptor: Descriptor {
        var value = Descriptor(
            mediaType: MediaType.manifest, digest: Digest.of(manifest).description, size: Int64(manifest.count))
        if let name { value.annotations["io.containerd.image.name"] = name }
        return value
    }

    var blobs: [Piece] {
        (layers + [config, manifest]).map { Piece(name: "blobs/sha256/\(Digest.of($0).hex)", bytes: $0) }
    }

    static func index(_ manifests: [Descriptor]) -> Piece {
        Piece(name: "index.json", bytes: (try? OCIJSON.encode(ImageIndex(manifests: manifests))) ?? [])
    }

    /// The layout; blobs come first, as some writers have it.
    var layout: [Piece] {
        blobs + [
            Piece(name: "oci-layout", bytes: Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)), Self.index([descriptor]),
        ]
    }

    /// What `docker save` of old wrote; the second layer is a link when both are alike.
    func dockerArchive(tags: [String]) -> [Piece] {
        let configName = "\(Digest.of(config).hex).json"
        var pieces: [Piece] = []
        var names: [String] = []
        for (number, layer) in layers.enumerated() {
            names.append("layer\(number)/layer.tar")
            if let same = layers[..<number].firstIndex(of: layer) {
                pieces.append(Piece(name: "layer\(number)/layer.tar", link: "../layer\(same)/layer.tar"))
            } else {
                pieces.append(Piece(name: "layer\(number)/layer.tar", bytes: layer))
            }
        }
        let item = DockerArchivePlanner.Item(Config: configName, RepoTags: tags, Layers: names)
        return pieces + [
            Piece(name: configName, bytes: config),
            Piece(name: "manifest.json", bytes: (try? OCIJSON.encode([item])) ?? []),
        ]
    }
}

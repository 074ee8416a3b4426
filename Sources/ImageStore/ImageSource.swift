import Glibc
import OCISpec
import System

/// An image on its way in: named pieces, read without trusting their names.
protocol ImageSource {
    /// What the person gave, for messages.
    var path: String { get }
    /// A piece's size in bytes; nil when there is none of this name.
    func size(of name: String) throws -> Int64?
    /// A small piece; nil when there is none. - Throws: `ImageError` beyond `Limits.documentInBytes`.
    func document(_ name: String) throws -> [UInt8]?
    /// A small blob of an OCI layout; its content is still to be checked.
    func document(_ descriptor: Descriptor) throws -> [UInt8]?
    /// Hands over the pieces asked for, each once, in whatever order is cheap. A piece that is missing is left out.
    func stream(_ names: Set<String>, _ body: (_ name: String, _ piece: any Piece) throws -> Void) throws
}

extension ImageSource {
    func document(_ descriptor: Descriptor) throws -> [UInt8]? {
        try document("blobs/sha256/\(try Digest.parse(descriptor.digest, in: path).hex)")
    }
}

/// A piece being read from its beginning.
protocol Piece {
    var size: Int64 { get }
    /// 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
    /// What to say when it ended before `size`.
    func truncated() -> ImageError
}

/// A tar, compressed or not. It is read once for the names, sizes and small pieces, and once more for the layers that
/// the store lacks: so a layer's size is known, and its room on the disk, before a byte of it is written, and what no
/// manifest speaks of is never written at all.
final class ArchiveSource: ImageSource {
    let path: String
    private enum Target {
        case piece(size: Int64)
        case alias(String)
    }
    private var catalogue: [String: Target] = [:]
    private var documents: [String: [UInt8]] = [:]
    /// Small pieces are kept up to these, so that reading them does not mean another pass.
    private static let keptPieceInBytes = 1 << 20
    private static let keptInBytes = 32 << 20

    init(_ path: String) throws {
        self.path = path
        let reader = try ArchiveReader(path)
        var kept = 0
        while let entry = try reader.next() {
            guard catalogue.count < Limits.archiveEntries else {
                throw ImageError("\(path) has more than \(Limits.archiveEntries) entries, which no image archive has")
            }
            guard catalogue[entry.name] == nil else {
                // Content named by its digest is checked by it; of anything else, one must not be two.
                if entry.name.hasPrefix("blobs/") { continue }
                throw ImageError("\(path) holds \"\(entry.name)\" twice; it is damaged or made to deceive")
            }
            switch entry.kind {
            case .file:
                guard entry.size >= 0 else {
                    throw ImageError("\(path) is damaged: \"\(entry.name)\" has a negative size")
                }
                catalogue[entry.name] = .piece(size: entry.size)
                if entry.size <= Self.keptPieceInBytes, kept + Int(entry.size) <= Self.keptInBytes {
                    documents[entry.name] = try reader.readAll(entry, limit: Self.keptPieceInBytes)
                    kept += Int(entry.size)
                }
            case .symbolicLink(let target):
                // docker save of old links a layer to the same layer of another image.
                catalogue[entry.name] = .alias(Self.resolve(target, from: entry.name))
            case .hardLink(let target):
                catalogue[entry.name] = .alias(target)
            case .other: break
            }
        }
    }

    func size(of name: String) throws -> Int64? { follow(name)?.size }

    func document(_ name: String) throws -> [UInt8]? {
        guard let (real, size) = follow(name) else { return nil }
        if let kept = documents[real] { return kept }
        guard size <= Limits.documentInBytes else {
            throw ArchiveReader.tooLarge("\(path): \(name)", size, limit: Limits.documentInBytes)
        }
        let reader = try ArchiveReader(path)
        while let entry = try reader.next() {
            if entry.name == real, entry.kind == .file {
                return try reader.readAll(entry, limit: Limits.documentInBytes)
            }
        }
        throw ImageError("\(path) changed while it was read")
    }

    func stream(_ names: Set<String>, _ body: (String, any Piece) throws -> Void) throws {
        var wanted: [String: [String]] = [:]
        for name in names {
            if let (real, _) = follow(name) { wanted[real, default: []].append(name) }
        }
        let reader = try ArchiveReader(path)
        while !wanted.isEmpty, let entry = try reader.next() {
            guard entry.kind == .file, let aliases = wanted.removeValue(forKey: entry.name) else { continue }
            // Names that lead to the same bytes are the same layer: handing over one is handing over all.
            try body(aliases[0], ArchivePiece(reader: reader, size: entry.size))
        }
    }

    private struct ArchivePiece: Piece {
        let reader: ArchiveReader
        let size: Int64
        func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int { try reader.read(into: buffer) }
        func truncated() -> ImageError { reader.truncated() }
    }

    /// The name under which the bytes are, through at most a few links within the archive.
    func follow(_ name: String) -> (name: String, size: Int64)? {
        var name = name
        for _ in 0..<8 {
            switch catalogue[name] {
            case .piece(let size): return (name, size)
            case .alias(let target): name = target
            case nil: return nil
            }
        }
        return nil
    }

    /// A link's target as a name in the archive. Whatever leads out of it is simply not found there.
    static func resolve(_ target: String, from link: String) -> String {
        var parts = link.split(separator: "/").dropLast()
        for part in target.split(separator: "/") {
            if part == ".." { _ = parts.popLast() } else if part != "." { parts.append(part) }
        }
        return parts.joined(separator: "/")
    }
}

/// A directory in OCI layout. Its files are opened below it: no link leads out.
final class DirectorySource: ImageSource {
    let path: String
    private let directory: FileDescriptor

    init(_ path: String) throws {
        self.path = path
        directory = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY)
    }

    func size(of name: String) throws -> Int64? { try open(name)?.size }

    func document(_ name: String) throws -> [UInt8]? {
        guard let (file, size) = try open(name) else { return nil }
        guard size <= Limits.documentInBytes else {
            throw ArchiveReader.tooLarge("\(path)/\(name)", size, limit: Limits.documentInBytes)
        }
        return try file.readToEnd(limit: Limits.documentInBytes)
    }

    func stream(_ names: Set<String>, _ body: (String, any Piece) throws -> Void) throws {
        for name in names.sorted() {
            guard let (file, size) = try open(name) else { continue }
            try body(name, FilePiece(file: file, size: size, path: "\(path)/\(name)"))
        }
    }

    private struct FilePiece: Piece {
        let file: FileDescriptor
        let size: Int64
        let path: String
        func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int { try file.read(into: buffer) }
        func truncated() -> ImageError { ImageError("\(path) became shorter while it was read") }
    }

    private func open(_ name: String) throws -> (file: FileDescriptor, size: Int64)? {
        let file: FileDescriptor
        do throws(SystemError) { file = try directory.openBeneath(name, O_RDONLY | O_NONBLOCK) } catch {
            if error.errno == ENOENT || error.errno == ENOTDIR { return nil }
            if error.errno == EXDEV || error.errno == ELOOP {
                throw ImageError("\(path)/\(name) leads out of the directory; an image's files are inside it")
            }
            throw ImageError("\(path)/\(name) cannot be read: \(String(cString: strerror(error.errno)))")
        }
        var info = stat()
        guard fstat(file.raw, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return nil }
        return (file, Int64(info.st_size))
    }
}

import Glibc
import LayerUnpack
import System
import Testing

/// An archive made to do harm, and what it gets. Whatever that is, nothing beside the layer's root may change.
struct HostileCase: CustomTestStringConvertible, Sendable {
    enum Outcome: Sendable {
        case tree([String])
        /// The error's text contains this.
        case error(String)
    }

    let name: String
    let blob: @Sendable (Scratch) -> [UInt8]
    let outcome: Outcome
    var testDescription: String { name }

    init(_ name: String, _ items: @escaping @Sendable (Scratch) -> [Item], _ outcome: Outcome) {
        (self.name, blob, self.outcome) = (name, { tar(items($0)) }, outcome)
    }

    init(_ name: String, blob: @escaping @Sendable (Scratch) -> [UInt8], _ outcome: Outcome) {
        (self.name, self.blob, self.outcome) = (name, blob, outcome)
    }
}

private let hostileCases: [HostileCase] = [
    // Ways out
    .init("a name that climbs", { _ in [.file("../outside/victim", "x")] }, .error("leads out of the layer")),
    .init(
        "a name that climbs after a descent", { _ in [.file("a/../../outside/victim", "x")] },
        .error("leads out of the layer")),
    .init(
        "an absolute name", { [.file("\($0.outside)/victim".split(separator: "/").joined(separator: "/"), "x")] },
        .tree([])),
    .init(
        "write through a link to an absolute path",
        { [.symbolicLink("l", $0.outside), .file("l/victim", "x")] }, .tree([])),
    .init(
        "write through a link that climbs",
        { _ in [.symbolicLink("l", "../../../../../outside"), .file("l/victim", "x")] },
        .tree(["l link 777 0:0 ../../../../../outside", "outside directory 755 0:0", "outside/victim file 644 0:0 x"])),
    .init(
        "write through two links",
        { _ in [.symbolicLink("a", "."), .symbolicLink("a/b", ".."), .file("b/outside/victim", "x")] },
        .tree(["a link 777 0:0 .", "b link 777 0:0 ..", "outside directory 755 0:0", "outside/victim file 644 0:0 x"])),
    .init(
        "truncate through a link as the last component",
        { [.symbolicLink("victim", "\($0.outside)/victim"), .file("victim", "x")] }, .tree(["victim file 644 0:0 x"])),
    .init(
        "chmod through a link", { [.symbolicLink("d", $0.outside), .directory("d", mode: 0o777)] },
        .tree(["d directory 777 0:0 trusted.overlay.opaque=y"])),
    .init(
        "attribute on what a link leads to",
        { [Item.symbolicLink("l", "\($0.outside)/victim").with(("SCHILY.xattr.trusted.evil", "1"))] }, .tree([])),
    .init("whiteout through a link", { [.symbolicLink("l", $0.outside), .file("l/.wh.victim")] }, .tree([])),
    .init(
        "hard link to a file outside, absolute", { [.hardLink("a", "\($0.outside)/victim")] },
        .error("not in the layer")),
    .init(
        "hard link to a file outside, climbing", { _ in [.hardLink("a", "../outside/victim")] },
        .error("hard link out of the layer")),
    .init(
        "hard link through a link",
        { [.symbolicLink("l", $0.outside), .hardLink("a", "l/victim"), .file("a", "x")] }, .error("not in the layer")),
    .init("hard link to the root", { _ in [.hardLink("a", "/")] }, .error("hard link out of the layer")),
    .init(
        "links in a circle", { _ in [.symbolicLink("a", "b"), .symbolicLink("b", "a"), .file("a/x")] },
        .error("symbolic links")),
    .init(
        "magic links of /proc", { _ in [.symbolicLink("l", "/proc/self/root"), .file("l/x", "1")] },
        .tree([
            "l link 777 0:0 /proc/self/root", "proc directory 755 0:0", "proc/self directory 755 0:0",
            "proc/self/root directory 755 0:0", "proc/self/root/x file 644 0:0 1",
        ])),
    .init(
        "removal of a directory with a link in it",
        { [.symbolicLink("d/l", $0.outside), .file("d", "x")] }, .tree(["d file 644 0:0 x"])),

    // Entries that cannot be
    .init("a file in a file", { _ in [.file("a", "1"), .file("a/b", "2")] }, .error("not a directory")),
    .init("the root as a file", { _ in [.file(".", "1")] }, .error("root can only be a directory")),
    .init("the root as a link", { _ in [.symbolicLink("/", "/etc")] }, .error("root can only be a directory")),
    .init("a link to nothing", { _ in [.symbolicLink("a", "")] }, .error("symbolic link to nothing")),
    .init(
        "hard link to what comes later", { _ in [.hardLink("a", "b"), .file("b", "1")] },
        .error("\"a\" is refused: it is a hard link to \"b\", which is not in the layer before it")),
    .init("hard link to itself", { _ in [.hardLink("a", "a")] }, .error("not in the layer")),
    .init("hard link to a directory", { _ in [.directory("d"), .hardLink("a", "d")] }, .error("a directory")),
    .init(
        "a name of 256 bytes", { _ in [.file("x").with(("path", String(repeating: "n", count: 256)))] },
        .error("longer than 255 bytes")),
    .init(
        "a path of 5000 bytes",
        { _ in [.file("x").with(("path", String(repeating: "dir/", count: 1250) + "x"))] },
        .error("longer than 255 bytes")),
    .init("user 4294967295", { _ in [.file("a").with(("uid", "4294967295"))] }, .error("no user or group")),
    .init("user -1", { _ in [.file("a").with(("uid", "-1"))] }, .error("no user or group")),
    .init("control characters in a name that is refused", { _ in [.hardLink("a\u{1b}[2J", "b")] }, .error("\"a?[2J\"")),

    // Names and attributes that mean something to an overlay
    .init(
        "attributes that command the overlay are left out",
        { _ in
            [
                Item.directory("d").with(
                    ("SCHILY.xattr.trusted.overlay.redirect", "/etc"), ("SCHILY.xattr.trusted.overlay.opaque", "y"))
            ]
        },
        .tree(["d directory 755 0:0"])),
    .init("whiteout of the parent", { _ in [.file("a/.wh...")] }, .error("for whiteouts")),
    .init("whiteout of the directory itself", { _ in [.file("a/.wh..")] }, .error("for whiteouts")),
    .init("whiteout of nothing", { _ in [.file(".wh.")] }, .error("for whiteouts")),
    .init("below a whiteout", { _ in [.file(".wh.a/b")] }, .error("for whiteouts")),
    .init(
        "an attribute of 70000 bytes",
        { _ in [Item.file("a").with("SCHILY.xattr.user.x", [UInt8](repeating: 65, count: 70_000))] },
        .error("too large")),
    .init(
        "capabilities that are none", { _ in [Item.file("a").with(("SCHILY.xattr.security.capability", "x"))] },
        .error("does not accept its extended attribute security.capability")),

    // Sizes
    .init("a negative size", { _ in [Item.file("a").size(Item.base256(-512, 12))] }, .error("negative size")),
    .init("a negative size in the extended header", { _ in [.file("a").with(("size", "-1"))] }, .error("negative")),
    .init("eight exbibytes", { _ in [Item.file("a").size(Item.base256(.max, 12))] }, .error("overflow")),
    .init("four exbibytes", { _ in [Item.file("a").size(Item.base256(1 << 62, 12))] }, .error("middle of its archive")),
    .init(
        "a hole of four exbibytes",
        { _ in [.file("a").with(("GNU.sparse.map", "0,0"), ("GNU.sparse.size", "4611686018427387904"))] },
        .error("larger than a file can be")),
    .init(
        "an extended header of a gigabyte", blob: { _ in Item.header("x", type: "x", size: Item.octal(1 << 30, 12)) },
        .error("too large")),
    .init(
        "extended headers without an end",
        blob: { _ in tar((0..<5000).map { _ in Item(name: "x", type: "g", content: Array("11 comment=\n".utf8)) }) },
        .error("damaged")),
    .init(
        "an extended header that is none",
        blob: { _ in tar([Item(name: "x", type: "x", content: Array("99 a=b\n".utf8)), .file("a")]) },
        .error("damaged")),

    // What is not an archive
    .init(
        "text", blob: { _ in Array(String(repeating: "not an archive. ", count: 100).utf8) },
        .error("is not a tar archive")),
    .init("one byte", blob: { _ in [65] }, .error("is not a tar archive")),
    .init(
        "a header with a wrong checksum",
        blob: { _ in
            var bytes = tar([.file("a", "1"), .file("b", "2")])
            bytes[1024] ^= 1
            return bytes
        }, .error("damaged")),
    .init("a zstd window of 2 GiB", blob: { _ in zstd(tar([.file("a")]), windowLog: 31) }, .error("takes more memory")),
    .init(
        "a zstd window of 128 MiB", blob: { _ in zstd(tar([.file("a", "1")]), windowLog: 27) },
        .tree(["a file 644 0:0 1"])),
    .init(
        "cut in a header", blob: { _ in Array(tar([.file("a"), .file("b")])[..<700]) }, .error("middle of its archive")),
    .init(
        "cut in a file",
        blob: { _ in Array(tar([Item(name: "a", content: .init(repeating: 1, count: 9000))])[..<5000]) },
        .error("middle of its archive")),
    .init(
        "cut in an extended header",
        blob: { _ in Array(tar([.file("a").with(("path", String(repeating: "n", count: 2000)))])[..<1000]) },
        .error("the layer")),
]

@Suite(.enabled(if: geteuid() == 0, "making other users' files takes root"))
struct HostileTests {
    @Test(arguments: hostileCases)
    func spoilsItsOwnDiskOnly(_ sample: HostileCase) throws {
        let scratch = try Scratch()
        let blob = sample.blob(scratch)
        let before = try scratch.listing(scratch.outside)
        switch sample.outcome {
        case .tree(let lines):
            _ = try scratch.unpack(blob)
            // An empty list: only that it is not outside matters, whose path is another at each run.
            if !lines.isEmpty { #expect(try scratch.listing() == lines.sorted()) }
        case .error(let part):
            let error = #expect(throws: LayerUnpackError.self) { try scratch.unpack(blob) }
            #expect(error.map { "\($0)".contains(part) } == true, "\(error.map { "\($0)" } ?? "no error")")
        }
        #expect(try scratch.listing(scratch.outside) == before)
        #expect(try Files.list(scratch.path).sorted() == ["blob", "outside", "root"])
    }

    @Test func bombEndsWhenTheDiskIsFull() throws {
        let scratch = try Scratch(sizeInKiB: 1024)
        try shell(
            "head -c 64M /dev/zero > \(scratch.path)/zeros; tar -cz -C \(scratch.path) -f \(scratch.path)/bomb zeros")
        #expect(throws: LayerUnpackError.diskFull(entry: "zeros")) { try scratch.unpack(file: "\(scratch.path)/bomb") }
    }

    @Test func endlessFilesEndWhenTheInodesAre() throws {
        let scratch = try Scratch(sizeInKiB: 1024, inodes: 50)
        #expect(throws: LayerUnpackError.diskFull(entry: "d/48")) {
            try scratch.unpack(tar((0..<1000).map { .file("d/\($0)") }))
        }
    }

    @Test func descriptorsAreNotLeft() throws {
        let scratch = try Scratch()
        for items: [Item] in [
            [.file("a/b"), .file("../x")], [.file("a/b/c"), .file("a", "x")], [.hardLink("q/r", "a")],
        ] {
            let before = try openedBelow(scratch.path)
            _ = try? scratch.unpack(tar(items))
            #expect(try openedBelow(scratch.path) == before)
        }
    }

    /// This process's descriptors of files in a directory; other tests run beside this one.
    private func openedBelow(_ directory: String) throws -> Int {
        try Files.list("/proc/self/fd").filter { name in
            var target = [CChar](repeating: 0, count: 4097)
            return readlink("/proc/self/fd/\(name)", &target, 4096) > 0
                && String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).hasPrefix(
                    directory)
        }.count
    }
}

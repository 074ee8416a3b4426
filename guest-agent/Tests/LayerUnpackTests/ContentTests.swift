import Glibc
import LayerUnpack
import System
import Testing

/// An archive and the tree it makes. Each case is an archive that real tools write.
struct ContentCase: CustomTestStringConvertible, Sendable {
    let name: String
    let items: @Sendable () -> [Item]
    let tree: [String]
    var testDescription: String { name }

    init(_ name: String, _ items: @escaping @autoclosure @Sendable () -> [Item], _ tree: [String]) {
        (self.name, self.items, self.tree) = (name, items, tree)
    }
}

private let longName = String(repeating: "n", count: 255)
private let deepPath = (0..<15).map { _ in longName }.joined(separator: "/")

private let contentCases: [ContentCase] = [
    // Names
    .init("empty archive", [], []),
    .init(
        "names that begin with ./ and with /", [.file("./a", "1"), .file("/b", "2"), .file("//c//d", "3")],
        ["a file 644 0:0 1", "b file 644 0:0 2", "c directory 755 0:0", "c/d file 644 0:0 3"]),
    .init("dots in the middle", [.file("a/./b/../c", "1")], ["a directory 755 0:0", "a/c file 644 0:0 1"]),
    .init("a name of 255 bytes", [.file("x").with(("path", longName))], ["\(longName) file 644 0:0"]),
    .init("a name in UTF-8, decomposed", [.file("x").with(("path", "e\u{301}"))], ["e\u{301} file 644 0:0"]),
    .init(
        "parents that are not in the layer", [.file("a/b/c", "1")],
        ["a directory 755 0:0", "a/b directory 755 0:0", "a/b/c file 644 0:0 1"]),
    .init(
        "a directory after what is in it", [.file("a/b", "1"), .directory("a", mode: 0o1777).owned(5, 6)],
        ["a directory 1777 5:6", "a/b file 644 0:0 1"]),
    .init(
        "a parent that is a link in the layer",
        [.directory("usr/lib"), .symbolicLink("lib", "usr/lib"), .file("lib/a", "1")],
        ["lib link 777 0:0 usr/lib", "usr directory 755 0:0", "usr/lib directory 755 0:0", "usr/lib/a file 644 0:0 1"]),
    .init(
        "a parent that is a link to nowhere yet", [.symbolicLink("lib", "/usr/../usr/lib"), .file("lib/a/b", "1")],
        [
            "lib link 777 0:0 /usr/../usr/lib", "usr directory 755 0:0", "usr/lib directory 755 0:0",
            "usr/lib/a directory 755 0:0", "usr/lib/a/b file 644 0:0 1",
        ]),
    // Metadata
    .init(
        "owners beyond 16 and 21 bits", [.file("a").owned(100_000, 4_000_000_000), .directory("d").owned(7, 65_536)],
        ["a file 644 100000:4000000000", "d directory 755 7:65536"]),
    .init(
        "set-user-id, set-group-id and sticky bits",
        [.file("a", mode: 0o4755).owned(3, 4), .file("b", mode: 0o2711), .directory("c", mode: 0o1777)],
        ["a file 4755 3:4", "b file 2711 0:0", "c directory 1777 0:0"]),
    .init(
        "a set-group-id directory passes nothing on",
        [
            .directory("d", mode: 0o2755).owned(0, 9), .file("d/a"), .directory("d/e"), .symbolicLink("d/l", "a"),
            .file("d/f/g"),
        ],
        [
            "d directory 2755 0:9", "d/a file 644 0:0", "d/e directory 755 0:0", "d/f directory 755 0:0",
            "d/f/g file 644 0:0", "d/l link 777 0:0 a",
        ]),
    .init(
        "modes that a umask would cut", [.file("a", mode: 0o666), .directory("b", mode: 0o777), .file("c", mode: 0)],
        ["a file 666 0:0", "b directory 777 0:0", "c file 0 0:0"]),
    .init(
        "devices, fifo",
        [
            .node("c", "3", 1, 3, mode: 0o666), .node("b", "4", 259, 70_000).owned(0, 6),
            .node("p", "6", 0, 0, mode: 0o620),
        ],
        ["b block 600 0:6 259:70000", "c character 666 0:0 1:3", "p fifo 620 0:0"]),
    .init(
        "extended attributes and capabilities, after the owner",
        [
            Item.file("a", "1").owned(1, 2).with(("SCHILY.xattr.user.name", "value"))
                .with("SCHILY.xattr.security.capability", [1, 0, 0, 2, 0, 4, 0, 0] + [UInt8](repeating: 0, count: 12)),
            Item.directory("d").with(("SCHILY.xattr.trusted.x", "y")),
            Item.symbolicLink("l", "a").with(("LIBARCHIVE.xattr.trusted.z", "MTIz")),
        ],
        [
            "a file 644 1:2 1 security.capability=0100000200040000000000000000000000000000 user.name=value",
            "d directory 755 0:0 trusted.x=y", "l link 777 0:0 a trusted.z=123",
        ]),
    .init(
        "access control lists as text and as attribute; a default list is not inherited by the layer's own files",
        [
            Item.directory("d").with(("SCHILY.acl.default", "user::rwx,group::r-x,other::---")), .file("d/a"),
            Item.file("b", mode: 0o640).with(
                ("SCHILY.acl.access", "user::rw-,user:7:r--,group::r--,mask::r--,other::---")),
        ],
        [
            "b file 640 0:0 system.posix_acl_access=0200000001000600ffffffff020004000700000004000400ffffffff10000400ffffffff20000000ffffffff",
            "d directory 755 0:0 system.posix_acl_default=0200000001000700ffffffff04000500ffffffff20000000ffffffff",
            "d/a file 644 0:0",
        ]),
    // Links
    .init(
        "hard links, one in another directory, one to a link",
        [.file("a", "1"), .hardLink("d/b", "./a"), .symbolicLink("s", "nowhere"), .hardLink("t", "/s")],
        [
            "a file 644 0:0 1 links=2", "d directory 755 0:0", "d/b file 644 0:0 1 links=2",
            "s link 777 0:0 nowhere links=2",
            "t link 777 0:0 nowhere links=2",
        ]),
    .init(
        "a hard link that is there already", [.file("a", "1"), .hardLink("b", "a"), .hardLink("b", "a")],
        ["a file 644 0:0 1 links=2", "b file 644 0:0 1 links=2"]),
    // The same name again
    .init(
        "file replaces file, not through its other name", [.file("a", "1"), .hardLink("b", "a"), .file("a", "2")],
        ["a file 644 0:0 2", "b file 644 0:0 1"]),
    .init("file replaces a directory and all in it", [.file("a/b/c", "1"), .file("a", "2")], ["a file 644 0:0 2"]),
    .init(
        "a directory again keeps what is in it", [.directory("a"), .file("a/b", "1"), .directory("a", mode: 0o700)],
        ["a directory 700 0:0", "a/b file 644 0:0 1"]),
    .init(
        "a directory replaces a link, and is not made through it",
        [.directory("x"), .symbolicLink("a", "x"), .directory("a"), .file("a/b", "1")],
        ["a directory 755 0:0 trusted.overlay.opaque=y", "a/b file 644 0:0 1", "x directory 755 0:0"]),
    .init(
        "a file replaces a link, and is not written through it",
        [.file("x", "1"), .symbolicLink("a", "x"), .file("a", "2")],
        ["a file 644 0:0 2", "x file 644 0:0 1"]),
    .init(
        "the directory of the entry before is replaced", [.file("a/b", "1"), .file("a", "2"), .file("c", "3")],
        ["a file 644 0:0 2", "c file 644 0:0 3"]),
    // Whiteouts
    .init("a whiteout", [.directory("a"), .file("a/.wh.b")], ["a directory 755 0:0", "a/b whiteout"]),
    .init(
        "a whiteout in a directory that is not in the layer", [.file("a/.wh.b")],
        ["a directory 755 0:0", "a/b whiteout"]),
    .init(
        "an opaque directory, marked first, last and alone",
        [
            .file("a/.wh..wh..opq"), .file("a/x", "1"), .file("b/x", "1"), .file("b/.wh..wh..opq"),
            .file("c/.wh..wh..opq"),
        ],
        [
            "a directory 755 0:0 trusted.overlay.opaque=y", "a/x file 644 0:0 1",
            "b directory 755 0:0 trusted.overlay.opaque=y",
            "b/x file 644 0:0 1", "c directory 755 0:0 trusted.overlay.opaque=y",
        ]),
    .init(
        "a whiteout and a file of that name", [.file(".wh.a"), .file("a", "1"), .file("b", "1"), .file(".wh.b")],
        ["a file 644 0:0 1", "b file 644 0:0 1"]),
    .init(
        "a whiteout and a directory of that name",
        [.file(".wh.a"), .directory("a"), .file("b/x", "1"), .file(".wh.b"), .file(".wh.c"), .file("c/d/x", "1")],
        [
            "a directory 755 0:0 trusted.overlay.opaque=y", "b directory 755 0:0 trusted.overlay.opaque=y",
            "b/x file 644 0:0 1", "c directory 755 0:0 trusted.overlay.opaque=y", "c/d directory 755 0:0",
            "c/d/x file 644 0:0 1",
        ]),
    .init("a whiteout twice", [.file(".wh.a"), .file(".wh.a")], ["a whiteout"]),
    .init(
        "what aufs leaves",
        [.directory(".wh..wh.plnk"), .file(".wh..wh.plnk/1.2", "x"), .file(".wh..wh.aufs"), .file("a", "1")],
        ["a file 644 0:0 1"]),
]

@Suite(.enabled(if: geteuid() == 0, "making other users' files takes root"))
struct ContentTests {
    @Test(arguments: contentCases)
    func tree(_ sample: ContentCase) throws {
        let scratch = try Scratch()
        let items = sample.items()
        let result = try scratch.unpack(tar(items))
        #expect(try scratch.listing() == sample.tree.sorted())
        #expect(result.entries == UInt64(items.count))
    }

    @Test func rootDirectoryTakesItsEntry() throws {
        let scratch = try Scratch()
        _ = try scratch.unpack(tar([.file("a"), .directory("./", mode: 0o1700).owned(3, 4)]))
        var info = stat()
        stat(scratch.root, &info)
        #expect(info.st_mode & 0o7777 == 0o1700)
        #expect(info.st_uid == 3 && info.st_gid == 4)
        #expect(info.st_mtim.tv_sec == 1_000_000_000)
    }

    @Test func timesToTheNanosecondAlsoOfDirectoriesAndLinks() throws {
        let scratch = try Scratch()
        _ = try scratch.unpack(
            tar([
                .directory("d").with(("mtime", "1234567890.123456789")), .file("d/a").with(("mtime", "1.000000001")),
                .symbolicLink("d/l", "a").with(("mtime", "2.5")), .node("d/p", "6", 0, 0).with(("mtime", "3.25")),
                .file("d/later/b"), .file("old").with(("mtime", "-86400")),
            ]))
        func modified(_ name: String) -> [Int] {
            var info = stat()
            lstat("\(scratch.root)/\(name)", &info)
            return [info.st_mtim.tv_sec, info.st_mtim.tv_nsec]
        }
        #expect(modified("d") == [1_234_567_890, 123_456_789])
        #expect(modified("d/a") == [1, 1])
        #expect(modified("d/l") == [2, 500_000_000])
        #expect(modified("d/p") == [3, 250_000_000])
        #expect(modified("old") == [-86400, 0])
    }

    @Test func pathsNearTheKernelsLimit() throws {
        let scratch = try Scratch()
        _ = try scratch.unpack(tar([.file("x", "deep").with(("path", "\(deepPath)/leaf"))]))
        let directory = try FileDescriptor.open(scratch.root, O_RDONLY | O_DIRECTORY)
        let leaf = openat(directory.raw, "\(deepPath)/leaf", O_RDONLY)
        #expect(leaf >= 0)
        close(leaf)
    }

    @Test func contentIsCounted() throws {
        let scratch = try Scratch()
        let content = [UInt8](repeating: 7, count: 3_000_000)
        let result = try scratch.unpack(tar([Item(name: "a", content: content), .file("b", "12345")]))
        #expect(result.contentInBytes == 3_000_005)
        #expect(try Files.read("\(scratch.root)/a") == content)
    }

    @Test func theMakersLostAndFoundIsNotTheLayers() throws {
        let scratch = try Scratch()
        try Files.makeDirectories("\(scratch.root)/lost+found")
        _ = try scratch.unpack(tar([]))
        #expect(try scratch.listing() == [])
    }
}

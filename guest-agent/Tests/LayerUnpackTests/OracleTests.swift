import Glibc
import LayerUnpack
import System
import Testing

/// The same layer as GNU tar unpacks it, and digests as sha256sum sees them.
@Suite(.enabled(if: geteuid() == 0, "making other users' files takes root"))
struct OracleTests {
    /// Everything a filesystem has that an archive can carry.
    private static let makeTree = """
        umask 022; mkdir -p etc usr/bin usr/lib "with space" deep/er/and/er run; ln -s usr/lib lib
        echo hello > etc/motd; chmod 640 etc/motd; chown 12:34 etc/motd; ln etc/motd etc/motd.again
        head -c 3000000 /dev/urandom > usr/bin/big; chown 70000:80000 usr/bin/big; chmod 6711 usr/bin/big
        printf x > "with space/$(printf 'tab\\tname')"; printf y > "with space/$(printf 'latin\\351')"
        printf z > "$(printf 'n%.0s' $(seq 255))"; ln -s "$(printf 't%.0s' $(seq 1000))" run/long
        p=deep/$(printf 'd%.0s' $(seq 120))/$(printf 'e%.0s' $(seq 120)); mkdir -p "$p"; echo deep > "$p/file"
        ln "$p/file" run/deep; ln -s ../etc/motd run/link; chown -h 5:6 run/link
        mknod run/null c 1 3; mknod run/disk b 8 17; mkfifo -m 620 run/pipe; mkdir -m 1777 run/tmp
        truncate -s 8M usr/lib/holes; printf middle | dd of=usr/lib/holes bs=1 seek=4000000 conv=notrunc 2>/dev/null
        printf end | dd of=usr/lib/tail-hole bs=1 seek=1000000 2>/dev/null
        truncate -s 5M usr/lib/tail-hole; truncate -s 2M usr/lib/all-hole
        setfattr -n user.comment -v hello etc/motd; setfattr -n trusted.mark -v 1 usr
        setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 usr/bin/big
        setfattr -h -n trusted.onlink -v 2 run/link; setfacl -m u:77:rw,g:88:r etc/motd; setfacl -d -m u:99:rwx run/tmp
        touch -d '2001-02-03 04:05:06.123456789' etc/motd usr/lib; touch -h -d '1999-01-01 00:00:00.5' run/link
        """

    /// A tree made once, and removed with the process's last use of it.
    private static func source() throws -> Scratch {
        let scratch = try Scratch()
        try Files.makeDirectories("\(scratch.path)/source", mode: 0o755)
        try shell("cd \(scratch.path)/source; \(makeTree)")
        return scratch
    }

    private static let script = #filePath.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/layers.py"

    private func describe(_ directory: String) throws -> [String] {
        try shell("python3 \(Self.script) describe \(directory)").split(separator: "\n").map(String.init)
    }

    private func blocks(_ path: String) -> Int {
        var info = stat()
        stat(path, &info)
        return Int(info.st_blocks)
    }

    @Test(arguments: [
        "--format=gnu", "--format=gnu --sparse", "--format=posix --xattrs --xattrs-include=* --acls",
        "--format=posix --sparse --sparse-version=0.0 --xattrs --xattrs-include=* --acls",
        "--format=posix --sparse --sparse-version=0.1", "--format=posix --sparse --sparse-version=1.0",
    ])
    func sameAsGNUTar(_ options: String) throws {
        let scratch = try Self.source()
        let attributes = "--xattrs '--xattrs-include=*' --acls"
        let quoted = options.split(separator: " ").map { "'\($0)'" }.joined(separator: " ")
        try shell(
            """
            cd \(scratch.path); tar --numeric-owner \(quoted) -cf layer -C source .; mkdir oracle
            tar \(attributes) --numeric-owner -xpf layer -C oracle
            """)
        let result = try scratch.unpack(file: "\(scratch.path)/layer")
        let ours = try describe(scratch.root)
        #expect(ours == (try describe("\(scratch.path)/oracle")))
        #expect(result.entries == UInt64(ours.count))
        #expect(result.diffID == (try shell("sha256sum \(scratch.path)/layer | cut -c-64 | tr -d '\\n'")))
        if options.contains("sparse") {
            for name in ["holes", "tail-hole", "all-hole"] {
                #expect(blocks("\(scratch.root)/usr/lib/\(name)") <= blocks("\(scratch.path)/oracle/usr/lib/\(name)"))
            }
        }
    }

    @Test func sameAsTheTreeItself() throws {
        let scratch = try Self.source()
        try shell("cd \(scratch.path); tar --format=posix --xattrs '--xattrs-include=*' --acls -cf layer -C source .")
        _ = try scratch.unpack(file: "\(scratch.path)/layer")
        #expect(try describe(scratch.root) == (try describe("\(scratch.path)/source")))
    }

    @Test(arguments: [
        ("gzip", "gzip -c layer > blob"),
        ("gzip, several members", "split -b 700K layer part.; for p in part.*; do gzip -c $p; done > blob"),
        ("gzip of nothing between members", "(: | gzip; gzip -c layer; : | gzip) > blob"),
        ("zstd", "zstd -qc layer > blob"),
        ("zstd, several frames", "split -b 700K layer part.; for p in part.*; do zstd -qc $p; done > blob"),
        (
            "zstd, skippable frames",
            #"(printf '\120\052\115\030\4\0\0\0abcd'; zstd -qc layer; printf '\121\052\115\030\1\0\0\0z') > blob"#
        ),
        ("xz", "xz -0 -c layer > blob"),
        ("xz, several streams", "split -b 700K layer part.; for p in part.*; do xz -0 -c $p; done > blob"),
        ("none", "cp layer blob"),
    ])
    func compression(_ name: String, _ compress: String) throws {
        let scratch = try Scratch()
        try shell("cd \(scratch.path); head -c 2000000 /dev/urandom > r; tar -cf layer r; \(compress)")
        let result = try scratch.unpack(file: "\(scratch.path)/blob")
        #expect(result.diffID == (try shell("sha256sum \(scratch.path)/layer | cut -c-64 | tr -d '\\n'")))
        try shell("cmp \(scratch.path)/r \(scratch.root)/r")
    }

    @Test(arguments: [
        ("gzip cut", "gzip -c layer | head -c 1000000 > blob", LayerUnpackError.truncated),
        ("zstd cut", "zstd -qc layer | head -c 1000000 > blob", .truncated),
        ("xz cut", "xz -0 -c layer | head -c 1000000 > blob", .truncated),
        ("twice", "gzip -c layer | zstd -qc > blob", .damaged("it is compressed more than once")),
        ("gzip of text", "yes | head -c 10000 | gzip > blob", .notATar),
        ("bzip2's magic", "printf BZh91AY | cat - layer > blob", .notATar),
    ])
    func notWhole(_ name: String, _ compress: String, _ expected: LayerUnpackError) throws {
        let scratch = try Scratch()
        try shell("cd \(scratch.path); head -c 2000000 /dev/urandom > r; tar -cf layer r; \(compress)")
        #expect(throws: expected) { try scratch.unpack(file: "\(scratch.path)/blob") }
    }

    @Test(arguments: ["gzip", "zstd -q", "xz -0"])
    func damagedCompression(_ program: String) throws {
        let scratch = try Scratch()
        try shell(
            """
            cd \(scratch.path); seq 1000000 > r; tar -cf layer r; \(program) -c layer > blob
            size=$(wc -c < blob); head -c 64 /dev/urandom | dd of=blob bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
            """)
        let outcome = Result { try scratch.unpack(file: "\(scratch.path)/blob") }
        // gzip's own checksum is not looked at: there damage may show in the digest alone.
        let digest = try shell("sha256sum \(scratch.path)/layer | cut -c-64 | tr -d '\\n'")
        #expect((try? outcome.get().diffID) != digest)
    }

    @Test func digestCoversWhatFollowsTheArchive() throws {
        let scratch = try Scratch()
        let blob = tar([.file("a", "1")]) + [UInt8](repeating: 0, count: 10_000) + Array("garbage".utf8)
        let result = try scratch.unpack(blob)
        #expect(result.diffID == (try shell("sha256sum \(scratch.path)/blob | cut -c-64 | tr -d '\\n'")))
    }

    /// As `umoci insert` leaves it, and every reader in Go takes it: no end of the archive, and no rest of the last block.
    @Test func archiveThatEndsWithItsLastFile() throws {
        let scratch = try Scratch()
        let whole = tar([.file("a", "1"), .file("b", String(repeating: "b", count: 700))])
        let blob = whole.prefix(512 + 512 + 512 + 700)
        let result = try scratch.unpack(Array(blob))
        #expect(result.entries == 2)
        #expect(try Files.read("\(scratch.root)/b").count == 700)
        #expect(result.diffID == (try shell("sha256sum \(scratch.path)/blob | cut -c-64 | tr -d '\\n'")))
        // A byte less is content that is missing, which no padding makes good.
        #expect(throws: LayerUnpackError.truncated) { try Scratch().unpack(Array(blob.dropLast())) }
        #expect(throws: LayerUnpackError.truncated) { try Scratch().unpack(Array(whole.prefix(512 + 512 + 200))) }
    }

    @Test func blobOfNothing() throws {
        let result = try Scratch().unpack([])
        #expect(result.diffID == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(result.entries == 0)
    }

    /// The disk that holds a blob is rounded up to whole sectors.
    @Test func bytesBehindTheBlobAreNotRead() throws {
        let scratch = try Scratch()
        let archive = tar([.file("a", "1")])
        try Files.write("\(scratch.path)/disk", archive + [UInt8](repeating: 1, count: 4096))
        let disk = try FileDescriptor.open("\(scratch.path)/disk", O_RDONLY)
        let directory = try FileDescriptor.open(scratch.root, O_RDONLY | O_DIRECTORY)
        let result = try unpackLayer(blob: disk.raw, sizeInBytes: UInt64(archive.count), into: directory.raw)
        try Files.write("\(scratch.path)/blob", archive)
        #expect(result.diffID == (try shell("sha256sum \(scratch.path)/blob | cut -c-64 | tr -d '\\n'")))
        #expect(throws: LayerUnpackError.truncated) {
            try unpackLayer(blob: disk.raw, sizeInBytes: 1 << 20, into: directory.raw)
        }
    }
}

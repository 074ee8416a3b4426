import Glibc
import System
import Testing

@testable import Storage

@Suite struct DiskTests {
    final class Workspace {
        let path = "/tmp/cloister-disks.\(getpid()).\(UInt64.random(in: 0 ... .max))"
        init() throws { try Files.makeDirectories(path) }
        deinit { try? Files.removeTree(path) }
    }

    private func blocks(_ path: String) -> Int {
        var info = stat()
        return stat(path, &info) == 0 ? Int(info.st_blocks) * 512 : -1
    }

    @Test func ext4IsSparseAndAlwaysTheSame() throws {
        let workspace = try Workspace()
        let a = workspace.path + "/a"
        let b = workspace.path + "/b"
        for path in [a, b] { try Ext4Image.make(path, sizeInBytes: 1 << 30) }
        var info = stat()
        #expect(stat(a, &info) == 0)
        #expect(info.st_size == 1 << 30)
        #expect(info.st_mode & 0o777 == 0o644)
        #expect(blocks(a) < 1 << 20)
        #expect(throws: SystemError.self) { try Ext4Image.make(a, sizeInBytes: 1 << 30) }
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        let check = try ChildProcess.spawn(
            try Ext4Image.tool("e2fsck", package: "e2fsprogs"), ["-fn", a], descriptors: [null.raw, null.raw, null.raw])
        #expect(check.wait() == .exited(0))
    }

    @Test func scratchDisksAreCopiesOfATemplate() throws {
        let workspace = try Workspace()
        let scratch = ScratchDisk(directory: workspace.path + "/templates")
        try scratch.make(at: workspace.path + "/one", sizeInBytes: 64 << 20)
        let template = try scratch.template(sizeInBytes: 64 << 20)
        let bytes = try Files.read(template, limit: 64 << 20)
        #expect(try Files.read(workspace.path + "/one", limit: 64 << 20) == bytes)
        #expect(blocks(workspace.path + "/one") <= blocks(template) + 65536)
        // A damaged template is made anew.
        truncate(template, 512)
        try scratch.make(at: workspace.path + "/two", sizeInBytes: 64 << 20)
        var info = stat()
        #expect(stat(workspace.path + "/two", &info) == 0)
        #expect(info.st_size == 64 << 20)
        #expect(throws: SystemError.self) { try scratch.make(at: workspace.path + "/two", sizeInBytes: 64 << 20) }
    }

    @Test(arguments: ["nothing", "content", "superblock", "truncated", "grown", "touched"])
    func proofTellsDamage(_ damage: String) throws {
        let workspace = try Workspace()
        let path = workspace.path + "/disk"
        try Ext4Image.make(path, sizeInBytes: 64 << 20)
        let before = try DiskProof(of: path)
        let file = try FileDescriptor.open(path, O_RDWR)
        var info = stat()
        fstat(file.raw, &info)
        // Content changes keep the time, so that the blocks themselves must tell.
        var times = [info.st_atim, info.st_mtim]
        switch damage {
        case "content": #expect(pwrite(file.raw, "x", 1, 4096 * 2 + 17) == 1)
        case "superblock": #expect(pwrite(file.raw, "x", 1, 1080) == 1)
        case "truncated": #expect(ftruncate(file.raw, (64 << 20) - 4096) == 0)
        case "grown": #expect(ftruncate(file.raw, (64 << 20) + 4096) == 0)
        case "touched": times[1].tv_nsec = (times[1].tv_nsec + 1) % 1_000_000_000
        default: break
        }
        futimens(file.raw, &times)
        #expect((try DiskProof(of: path) == before) == (damage == "nothing"))
    }

    @Test func aDiskInUseIsNotRemoved() throws {
        let workspace = try Workspace()
        let path = workspace.path + "/disk"
        try Files.write(path, [1], mode: 0o444)
        do {
            let used = try LayerDisk(path)
            #expect(LayerDisk.removeUnlessUsed(path) == nil)
            #expect(Files.exists(used.path))
        }
        #expect(LayerDisk.removeUnlessUsed(path) != nil)
        #expect(!Files.exists(path))
        #expect(throws: StorageError.self) { try LayerDisk(path) }
    }
}

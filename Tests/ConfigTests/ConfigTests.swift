import Glibc
import System
import Testing

@testable import Config

@Suite struct ConfigurationTests {
    func parse(_ text: String) throws -> Configuration {
        try Configuration(environment: { _ in nil }).changed(by: Array(text.utf8), path: "c.toml")
    }

    @Test func nothingChangesNothing() throws {
        #expect(try parse("") == Configuration(environment: { _ in nil }))
        #expect(try parse("# nothing\n") == Configuration(environment: { _ in nil }))
    }

    @Test func everyKeyIsTaken() throws {
        let configuration = try parse(
            """
            accelerator = "emulation"
            memory = "1g"
            cpus = 2
            boot_timeout = "1m30s"
            kernel = "/k"
            initramfs = "/i"
            state_directory = "/s"
            image_directory = "/d"
            virtiofsd = "/v"
            pod_annotations = ["io.cloister.memory", "io.cloister.cpus"]
            default_registry = "registry.example.com"
            [aliases]
            alpine = "quay.io/base/alpine"
            "team/a.b" = "localhost/c"
            """)
        #expect(configuration.defaultRegistry == "registry.example.com")
        #expect(configuration.aliases == ["alpine": "quay.io/base/alpine", "team/a.b": "localhost/c"])
        #expect(configuration.places["aliases.alpine"] == "c.toml, line 13")
        #expect(try parse("[aliases]").aliases.isEmpty)
        #expect(configuration.accelerator == .emulation)
        #expect(configuration.memoryInBytes == 1 << 30)
        #expect(configuration.cpus == 2)
        #expect(configuration.bootTimeout == .seconds(90))
        #expect(configuration.kernel == "/k")
        #expect(configuration.initramfs == "/i")
        #expect(configuration.stateDirectory == "/s")
        #expect(configuration.imageDirectory == "/d")
        #expect(configuration.virtiofsd == "/v")
        #expect(configuration.podAnnotations == ["io.cloister.memory", "io.cloister.cpus"])
    }

    @Test(arguments: [
        ("memory = 134217728", UInt64(128) << 20), ("memory = \"134217729\"", 129 << 20), ("memory = '1t'", 1 << 40),
    ])
    func memory(_ text: String, _ expected: UInt64) throws {
        #expect(try parse(text).memoryInBytes == expected)
    }

    @Test(arguments: [
        (
            "no registry", "default_registry = ['a.b']",
            "c.toml, line 1: default_registry must be a registry's address like \"registry.example.com\" or "
                + "\"localhost:5000\"."
        ),
        (
            "no table", "aliases = 'alpine'",
            "c.toml, line 1: aliases must be a table of short names and what they stand for, like alpine = "
                + "\"registry.example.com/base/alpine\"."
        ),
        (
            "no name", "[aliases]\nalpine = 3",
            "c.toml, line 2: aliases.alpine must be a whole name without a tag, like "
                + "\"registry.example.com/base/alpine\"."
        ),
        ("typing error", "\nmemry = 1", "c.toml, line 2: there is no key \"memry\"; did you mean memory?"),
        (
            "in a table", "[vm]\nmemory = '1g'",
            "c.toml, line 2: there is no key \"vm.memory\"; did you mean memory?"
        ),
        (
            "unknown", "colour = 'red'",
            "c.toml, line 1: there is no key \"colour\"; there are accelerator, memory, cpus, boot_timeout, kernel, "
                + "initramfs, state_directory, image_directory, image_store_limit, default_registry, aliases, "
                + "virtiofsd, pod_annotations."
        ),
        (
            "wrong word", "accelerator = 'xen'",
            "c.toml, line 1: accelerator must be \"auto\", \"kvm\" or \"emulation\"."
        ),
        ("wrong type", "cpus = 'two'", "c.toml, line 1: cpus must be a whole number from 1 to 255."),
        ("too few", "cpus = 0", "c.toml, line 1: cpus must be a whole number from 1 to 255."),
        ("fraction", "cpus = 1.5", "c.toml, line 1: cpus must be a whole number from 1 to 255."),
        ("too little", "memory = '64m'", "c.toml, line 1: memory must be a size from \"128m\" to \"1t\"."),
        ("negative", "memory = -1", "c.toml, line 1: memory must be a size from \"128m\" to \"1t\"."),
        ("not a size", "memory = 'lots'", "c.toml, line 1: memory must be a size from \"128m\" to \"1t\"."),
        ("relative", "kernel = 'vmlinux'", "c.toml, line 1: kernel must be an absolute path."),
        ("a list", "kernel = ['/k']", "c.toml, line 1: kernel must be an absolute path."),
        (
            "a date", "boot_timeout = 2020-01-01",
            "c.toml, line 1: boot_timeout must be a length of time like \"30s\" or \"1m30s\", or a "
                + "whole number of seconds."
        ),
        (
            "no time", "boot_timeout = 0",
            "c.toml, line 1: boot_timeout must be a length of time like \"30s\" or \"1m30s\", or a "
                + "whole number of seconds."
        ),
    ])
    func whatIsWrongIsNamed(_ name: String, _ text: String, _ expected: String) {
        #expect(throws: ConfigurationError(expected)) { try parse(text) }
    }

    @Test(arguments: [
        "memory", "memory = ", "cpus = 1\ncpus = 2", "memory = 'x", "[", "a = 1979-99-99", "= 1", "\u{1}",
    ])
    func whatIsNotTOMLIsRefusedWithItsLine(_ text: String) {
        #expect {
            try parse(text)
        } throws: { error in
            "\(error)".hasPrefix("c.toml, line ") && "\(error)".contains(": this is not TOML: ")
        }
    }

    @Test func bytesThatAreNotTextAreRefused() {
        #expect(throws: ConfigurationError.self) {
            try Configuration(environment: { _ in nil }).changed(by: [0x61, 0x3d, 0x22, 0xff, 0x22], path: "c.toml")
        }
    }

    @Test(
        arguments: [
            ("root", 0, [:], "/etc/cloister/config.toml"),
            ("root, whatever XDG says", 0, ["XDG_CONFIG_HOME": "/x"], "/etc/cloister/config.toml"),
            ("user", 7, ["HOME": "/home/u"], "/home/u/.config/cloister/config.toml"),
            ("XDG", 7, ["HOME": "/home/u", "XDG_CONFIG_HOME": "/x"], "/x/cloister/config.toml"),
            ("relative XDG", 7, ["HOME": "/home/u", "XDG_CONFIG_HOME": "x"], "/home/u/.config/cloister/config.toml"),
            ("named", 7, ["CLOISTER_CONFIG": "my.toml"], "my.toml"),
            ("no home", 7, [:], nil),
        ] as [(String, uid_t, [String: String], String?)])
    func theFileIsFound(_ name: String, _ user: uid_t, _ environment: [String: String], _ expected: String?) {
        #expect(Configuration.path(user: user, environment: { environment[$0] }) == expected)
    }

    @Test func aFileThatIsNotThereMattersOnlyWhenNamed() throws {
        let home = try TemporaryDirectory()
        let environment = ["XDG_CONFIG_HOME": home.path, "HOME": home.path]
        if geteuid() != 0 {
            #expect(try Configuration.load(environment: { environment[$0] }).cpus == 1)
        }
        let path = "\(home.path)/c.toml"
        #expect(
            throws: ConfigurationError(
                "the configuration cannot be read: open \(path): No such file or directory; mend the file or "
                    + "CLOISTER_CONFIG, which names it.")
        ) { try Configuration.load(environment: { ["CLOISTER_CONFIG": path][$0] }) }
        try Files.write(path, "cpus = 3")
        #expect(try Configuration.load(environment: { ["CLOISTER_CONFIG": path][$0] }).cpus == 3)
    }

    @Test func theStateDirectoryOfAUser() throws {
        let own = try TemporaryDirectory()
        let environment = ["XDG_RUNTIME_DIR": own.path]
        let standard = StateDirectoryPath.standard
        #expect(standard(geteuid() == 0 ? 0 : geteuid()) { environment[$0] }.hasSuffix("/cloister"))
        #expect(standard(0) { environment[$0] } == "/run/cloister")
        // Somebody else's runtime directory is not used.
        #expect(standard(geteuid() + 7) { environment[$0] } == "/tmp/cloister-\(geteuid() + 7)")
        #expect(standard(geteuid() + 7) { _ in nil } == "/tmp/cloister-\(geteuid() + 7)")
    }

    @Test func theStateDirectoryIsMadeAndChecked() throws {
        let temporary = try TemporaryDirectory()
        let path = "\(temporary.path)/a/b"
        try StateDirectoryPath.prepare(path)
        try StateDirectoryPath.prepare(path)
        chmod(path, 0o777)
        #expect(
            throws: ConfigurationError("others can write to the state directory \(path); run \"chmod go-w \(path)\".")
        ) { try StateDirectoryPath.prepare(path) }
        let link = "\(temporary.path)/link"
        symlink("/", link)
        #expect(throws: ConfigurationError.self) { try StateDirectoryPath.prepare(link) }
        let file = "\(temporary.path)/file"
        try Files.write(file, "")
        #expect(throws: ConfigurationError.self) { try StateDirectoryPath.prepare(file + "/below") }
        #expect(throws: ConfigurationError.self) { try StateDirectoryPath.prepare(file) }
    }
}

@Suite struct InstallationTests {
    @Test func partsAreFoundBesideTheProgramOrInLib() throws {
        let prefix = try TemporaryDirectory()
        let bin = "\(prefix.path)/bin"
        let library = "\(prefix.path)/lib/cloister"
        try Files.makeDirectories(bin)
        try Files.makeDirectories(library)
        #expect(
            throws: ConfigurationError(
                "vmlinux is neither at \(bin)/vmlinux nor at \(library)/vmlinux; \"make build\" in Cloister's "
                    + "source makes it."
            )
        ) { try Installation.find("vmlinux", from: bin, given: nil) }
        try Files.write("\(library)/vmlinux", "")
        #expect(try Installation.find("vmlinux", from: bin, given: nil) == "\(library)/vmlinux")
        try Files.write("\(bin)/vmlinux", "")
        #expect(try Installation.find("vmlinux", from: bin, given: nil) == "\(bin)/vmlinux")
        #expect(throws: ConfigurationError.self) {
            try Installation.find("vmlinux", from: bin, given: nil, executable: true)
        }
        #expect(
            throws: ConfigurationError(
                "open \(bin)/other: No such file or directory; give a file that is there and can be read.")
        ) { try Installation.find("vmlinux", from: bin, given: "\(bin)/other") }
    }

    @Test func theProgramKnowsWhereItIs() throws {
        #expect(try Installation.executableDirectory().hasPrefix("/"))
    }
}

@Suite struct KernelFileTests {
    /// A 64-bit ELF file with one segment of notes.
    func elf(machine: UInt8 = 62, class: UInt8 = 2, segment: UInt8 = 4, name: String = "Xen", type: UInt8 = 18)
        -> [UInt8]
    {
        var bytes = [UInt8](repeating: 0, count: 64 + 56)
        bytes.replaceSubrange(0..<6, with: [0x7f, 0x45, 0x4c, 0x46, `class`, 1])
        bytes[18] = machine
        bytes[32] = 64
        bytes[54] = 56
        bytes[56] = 1
        bytes[64] = segment
        bytes[64 + 8] = 120
        // Another note comes first, with a name and content that need padding.
        let notes: [UInt8] =
            [2, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 0x41, 0, 0, 0] + [1, 2, 3, 4, 5, 0, 0, 0]
            + [4, 0, 0, 0, 8, 0, 0, 0, type, 0, 0, 0] + Array(name.utf8) + [0] + [0, 0, 0, 1, 0, 0, 0, 0]
        bytes[64 + 32] = UInt8(notes.count)
        return bytes + notes
    }

    func verdict(_ bytes: [UInt8]) throws -> String {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/k"
        try Files.write(path, bytes)
        do throws(ConfigurationError) { try KernelFile.validate(path) } catch {
            return error.description.replacing(path, with: "k")
        }
        return "fine"
    }

    @Test func aKernelIsAKernel() throws { #expect(try verdict(elf()) == "fine") }

    @Test func whatIsNoKernelIsNamed() throws {
        func refused(_ why: String) -> String {
            "k is not a kernel that can be booted: \(why). Give an uncompressed vmlinux with CONFIG_PVH, such as the "
                + "one \"make build\" makes."
        }
        #expect(try verdict([]) == refused("it is not an ELF file"))
        #expect(try verdict(Array("#!/bin/sh\n".utf8)) == refused("it is not an ELF file"))
        #expect(try verdict(Array(elf().prefix(63))) == refused("it is not an ELF file"))
        #expect(try verdict(Array(elf().prefix(80))) == refused("its program headers cannot be read"))
        #expect(try verdict(Array(elf().dropLast(1))) == refused("it has no PVH entry point"))
        #expect(try verdict(elf(machine: 183)) == refused("it is an ELF file for another machine than x86-64"))
        #expect(try verdict(elf(class: 1)) == refused("it is an ELF file for another machine than x86-64"))
        #expect(try verdict(elf(segment: 1)) == refused("it has no PVH entry point"))
        #expect(try verdict(elf(name: "Abc")) == refused("it has no PVH entry point"))
        #expect(try verdict(elf(type: 17)) == refused("it has no PVH entry point"))
        var bzImage = [UInt8](repeating: 0, count: 1024)
        bzImage.replaceSubrange(0x202..<0x206, with: Array("HdrS".utf8))
        #expect(try verdict(bzImage) == refused("it is a compressed bzImage"))
        var wild = elf()
        for index in 96..<104 { wild[index] = 0xff }
        #expect(try verdict(wild) == refused("it has no PVH entry point"))
    }

    @Test(arguments: ["/", "/dev/null", "/nowhere"])
    func whatIsNoFile(_ path: String) {
        #expect(throws: ConfigurationError.self) { try KernelFile.validate(path) }
    }
}

/// A directory that goes with its owner.
final class TemporaryDirectory {
    let path: String
    init() throws {
        path = "/tmp/cloister-config-test-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try Files.makeDirectories(path)
    }
    deinit { try? Files.removeTree(path) }
}

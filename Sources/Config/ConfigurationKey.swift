import TOML

/// One key of the configuration file: what it is called, means, accepts and does.
public struct ConfigurationKey: Sendable {
    public let name: String
    /// As it is written in the file, or in words.
    public let standard: String
    public let help: String
    /// Whether `pod_annotations` may leave it to pods.
    var podMaySet = false
    /// The end of the sentence "NAME must be …".
    let accepts: String
    /// - Returns: whether the value is acceptable.
    let apply: @Sendable (TOMLDocument.Value, inout Configuration) -> Bool
    /// Of a table: takes one of the keys in it.
    var applyInner: @Sendable (String, TOMLDocument.Value, inout Configuration) -> Bool = { _, _, _ in false }
    var isTable = false
    /// Of a table: the end of the sentence about one of the keys in it.
    var acceptsInner = ""

    /// The key of an entry, and what it is called in its table if that is one.
    static func find(_ entry: TOMLDocument.Entry) -> (key: ConfigurationKey, inner: String?)? {
        for key in all {
            if entry.key == key.name { return (key, nil) }
            if key.isTable, entry.key.hasPrefix(key.name + ".") {
                return (key, String(entry.key.dropFirst(key.name.count + 1)))
            }
        }
        return nil
    }

    public static let all: [ConfigurationKey] = [
        ConfigurationKey(
            name: "accelerator", standard: "\"auto\"",
            help: "What carries virtual machines: \"kvm\", \"emulation\", or \"auto\" for KVM where it works.",
            accepts: "\"auto\", \"kvm\" or \"emulation\""
        ) { value, configuration in
            guard case .string(let text) = value, let wish = Accelerator(rawValue: text) else { return false }
            configuration.accelerator = wish
            return true
        },
        ConfigurationKey(
            name: "memory", standard: "\"512m\"",
            help: "Memory of a virtual machine whose containers have no limit. The host provides what is used.",
            podMaySet: true, accepts: "a size from \"128m\" to \"1t\""
        ) { value, configuration in
            let bytes: UInt64
            switch value {
            case .string(let text):
                guard let size = ByteSize(text) else { return false }
                bytes = size.bytes
            case .integer(let number):
                guard let size = UInt64(exactly: number) else { return false }
                bytes = size
            default: return false
            }
            let bounds = Configuration.memoryBounds
            guard bytes >= bounds.least, bytes <= bounds.most else { return false }
            configuration.memoryInBytes = MachineSize.wholeMebibytes(bytes)
            return true
        },
        ConfigurationKey(
            name: "cpus", standard: "1", help: "CPUs of a virtual machine whose containers have no limit.",
            podMaySet: true, accepts: "a whole number from 1 to 255"
        ) { value, configuration in
            let bounds = Configuration.cpuBounds
            guard case .integer(let number) = value, number >= bounds.least, number <= bounds.most else { return false }
            configuration.cpus = UInt32(number)
            return true
        },
        ConfigurationKey(
            name: "boot_timeout", standard: "\"30s\"", help: "How long a guest may take to report in.",
            podMaySet: true, accepts: "a length of time like \"30s\" or \"1m30s\", or a whole number of seconds"
        ) { value, configuration in
            let text: String
            switch value {
            case .string(let given): text = given
            case .integer(let number): text = "\(number)"
            default: return false
            }
            guard let span = TimeSpan(text) else { return false }
            configuration.bootTimeout = span.duration
            return true
        },
        path("kernel", "the one installed with cloister", "The guest's kernel, an uncompressed vmlinux.") { path, it in
            it.kernel = path
        },
        path("initramfs", "the one installed with cloister", "The guest's initramfs, with the agent in it.") {
            path, it in
            it.initramfs = path
        },
        path(
            "state_directory", "`/run/cloister`; for others `$XDG_RUNTIME_DIR/cloister` or `/tmp/cloister-UID`",
            "Holds a directory for each running sandbox. Keep it short: a socket's path has at most 107 bytes."
        ) { path, it in it.stateDirectory = path },
        path(
            "image_directory", "`/var/lib/cloister`; for others `$XDG_DATA_HOME/cloister` or `~/.local/share/cloister`",
            "Holds images and their unpacked layers. CLOISTER_DATA in the environment comes before it."
        ) { path, it in it.imageDirectory = path },
        ConfigurationKey(
            name: "image_store_limit", standard: "no limit",
            help: "What images and their unpacked layers may take; a pull or load that goes beyond is refused.",
            accepts: "a size like \"20g\""
        ) { value, configuration in
            guard case .string(let text) = value, let size = ByteSize(text), size.bytes > 0 else { return false }
            configuration.imageStoreLimitInBytes = Int64(clamping: size.bytes)
            return true
        },
        // What a registry or a name is, those know who reach it; here it is text.
        ConfigurationKey(
            name: "default_registry", standard: "\"docker.io\"",
            help: "The registry of images whose names name none.",
            accepts: "a registry's address like \"registry.example.com\" or \"localhost:5000\""
        ) { value, configuration in
            guard case .string(let text) = value, !text.isEmpty else { return false }
            configuration.defaultRegistry = text
            return true
        },
        ConfigurationKey(
            name: "aliases", standard: "none",
            help:
                "A table of short names and what they stand for: `alpine = \"registry.example.com/base/alpine\"`, without tags.",
            accepts:
                "a table of short names and what they stand for, like alpine = \"registry.example.com/base/alpine\"",
            apply: { value, _ in value == .emptyTable },
            applyInner: { name, value, configuration in
                guard case .string(let text) = value else { return false }
                configuration.aliases[name] = text
                return true
            }, isTable: true, acceptsInner: "a whole name without a tag, like \"registry.example.com/base/alpine\""),
        path(
            "virtiofsd", "the one of the distribution",
            "Serves a pod's files to its guest; only containerd's pods need it."
        ) { path, it in it.virtiofsd = path },
        // Spelled out, and not asked of the table, which this is part of.
        ConfigurationKey(
            name: "pod_annotations", standard: "[]",
            help:
                "Annotations that pods may have, of io.cloister.memory, io.cloister.cpus and io.cloister.boot_timeout.",
            accepts: "a list of any of \"io.cloister.memory\", \"io.cloister.cpus\" and \"io.cloister.boot_timeout\""
        ) { value, configuration in
            guard case .strings(let names) = value, names.allSatisfy(PodAnnotations.allowable.contains) else {
                return false
            }
            configuration.podAnnotations = names
            return true
        },
    ]

    private static func path(
        _ name: String, _ standard: String, _ help: String,
        _ set: @escaping @Sendable (String, inout Configuration) -> Void
    ) -> ConfigurationKey {
        ConfigurationKey(name: name, standard: standard, help: help, accepts: "an absolute path") { value, it in
            guard case .string(let path) = value, path.hasPrefix("/"), !path.utf8.contains(0) else { return false }
            set(path, &it)
            return true
        }
    }
}

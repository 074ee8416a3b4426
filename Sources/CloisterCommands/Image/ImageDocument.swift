import ImageStore
import OCISpec

/// An image as templates of `image inspect` see it: Docker's `image inspect`, by its names.
enum ImageDocument {
    static func make(_ image: StoredImage, _ store: ImageStore) throws -> JSONValue {
        // By its manifest: an image's other names are of interest, too.
        let named = try store.list().filter { $0.manifestDigest == image.manifestDigest && $0.reference != nil }
        let config = image.config
        return .object([
            "Id": .string(image.configDigest.description),
            "Digest": .string(image.manifestDigest.description),
            "RepoTags": list(named.filter { $0.reference?.digest == nil }.map(\.displayName).sorted()),
            "RepoDigests": list(Set(named.map { "\($0.displayRepository)@\(image.manifestDigest)" }).sorted()),
            "Created": .string(config.created ?? ""),
            "Author": .string(config.author ?? ""),
            "Architecture": .string(config.architecture),
            "Variant": .string(config.variant ?? ""),
            "Os": .string(config.os),
            "Size": .integer(image.size),
            "Config": execution(config.config ?? ImageConfig.Execution()),
            "RootFS": .object(["Type": .string(config.rootfs.type), "Layers": list(config.rootfs.diff_ids)]),
        ])
    }

    private static func execution(_ execution: ImageConfig.Execution) -> JSONValue {
        .object([
            "User": .string(execution.User ?? ""),
            "Env": list(execution.Env),
            "Entrypoint": list(execution.Entrypoint),
            "Cmd": list(execution.Cmd),
            "WorkingDir": .string(execution.WorkingDir ?? ""),
            "ExposedPorts": .object(execution.ExposedPorts.mapValues { _ in .object([:]) }),
            "Volumes": .object(execution.Volumes.mapValues { _ in .object([:]) }),
            "Labels": .object(execution.Labels.mapValues(JSONValue.string)),
            "StopSignal": .string(execution.StopSignal ?? ""),
        ])
    }

    private static func list(_ texts: [String]) -> JSONValue { .array(texts.map(JSONValue.string)) }
}

/// Types of the image specification (https://github.com/opencontainers/image-spec). Field names are the documents' own.

/// Points at content by digest (descriptor.md).
public struct Descriptor: Codable, Equatable, Sendable {
    public var mediaType: String
    /// e.g. `sha256:…`.
    public var digest: String
    /// In bytes.
    public var size: Int64
    public var annotations: [String: String]
    public var platform: Platform?
    /// Where the content may be had besides.
    public var urls: [String]

    public init(
        mediaType: String, digest: String, size: Int64, annotations: [String: String] = [:], platform: Platform? = nil,
        urls: [String] = []
    ) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
        self.annotations = annotations
        self.platform = platform
        self.urls = urls
    }
}

/// A list of manifests, one a platform or image (image-index.md).
public struct ImageIndex: Codable, Equatable, Sendable {
    public var schemaVersion: Int
    public var mediaType: String?
    public var manifests: [Descriptor]
    public var annotations: [String: String]

    public init(
        schemaVersion: Int = 2, mediaType: String? = MediaType.index, manifests: [Descriptor],
        annotations: [String: String] = [:]
    ) {
        self.schemaVersion = schemaVersion
        self.mediaType = mediaType
        self.manifests = manifests
        self.annotations = annotations
    }
}

/// An image for one platform (manifest.md).
public struct ImageManifest: Codable, Equatable, Sendable {
    public var schemaVersion: Int
    public var mediaType: String?
    public var config: Descriptor
    /// Lowest first.
    public var layers: [Descriptor]
    public var annotations: [String: String]

    public init(
        schemaVersion: Int = 2, mediaType: String? = MediaType.manifest, config: Descriptor, layers: [Descriptor],
        annotations: [String: String] = [:]
    ) {
        self.schemaVersion = schemaVersion
        self.mediaType = mediaType
        self.config = config
        self.layers = layers
        self.annotations = annotations
    }
}

/// How an image's containers are run, and what its layers are (config.md).
public struct ImageConfig: Codable, Equatable, Sendable {
    public var architecture: String
    public var os: String
    public var variant: String?
    public var created: String?
    public var author: String?
    public var config: Execution?
    public var rootfs: RootFS
    public var history: [History]

    public init(
        architecture: String = Platform.guest.architecture, os: String = "linux", variant: String? = nil,
        created: String? = nil, author: String? = nil, config: Execution? = nil, rootfs: RootFS, history: [History] = []
    ) {
        self.architecture = architecture
        self.os = os
        self.variant = variant
        self.created = created
        self.author = author
        self.config = config
        self.rootfs = rootfs
        self.history = history
    }

    public var platform: Platform { Platform(architecture: architecture, os: os, variant: variant) }

    public struct Execution: Codable, Equatable, Sendable {
        /// `user`, `uid`, `user:group`, `uid:gid`, …
        public var User: String?
        public var Env: [String]
        public var Entrypoint: [String]
        public var Cmd: [String]
        public var WorkingDir: String?
        public var ExposedPorts: [String: Empty]
        public var Volumes: [String: Empty]
        public var Labels: [String: String]
        public var StopSignal: String?

        public init(
            User: String? = nil, Env: [String] = [], Entrypoint: [String] = [], Cmd: [String] = [],
            WorkingDir: String? = nil, ExposedPorts: [String: Empty] = [:], Volumes: [String: Empty] = [:],
            Labels: [String: String] = [:], StopSignal: String? = nil
        ) {
            self.User = User
            self.Env = Env
            self.Entrypoint = Entrypoint
            self.Cmd = Cmd
            self.WorkingDir = WorkingDir
            self.ExposedPorts = ExposedPorts
            self.Volumes = Volumes
            self.Labels = Labels
            self.StopSignal = StopSignal
        }
    }

    /// The value of a Go `map[string]struct{}`.
    public struct Empty: Codable, Equatable, Sendable {
        public init() {}
    }

    public struct RootFS: Codable, Equatable, Sendable {
        public var type: String
        /// Digests of the layers' uncompressed tars, lowest first.
        public var diff_ids: [String]

        public init(type: String = "layers", diff_ids: [String]) {
            self.type = type
            self.diff_ids = diff_ids
        }
    }

    public struct History: Codable, Equatable, Sendable {
        public var created: String?
        public var created_by: String?
        public var comment: String?
        public var empty_layer: Bool?

        public init(
            created: String? = nil, created_by: String? = nil, comment: String? = nil, empty_layer: Bool? = nil
        ) {
            self.created = created
            self.created_by = created_by
            self.comment = comment
            self.empty_layer = empty_layer
        }
    }
}

/// Media types met in images (media-types.md, and Docker's of the same meaning).
public enum MediaType {
    public static let index = "application/vnd.oci.image.index.v1+json"
    public static let manifest = "application/vnd.oci.image.manifest.v1+json"
    public static let config = "application/vnd.oci.image.config.v1+json"
    public static let layerTar = "application/vnd.oci.image.layer.v1.tar"
    public static let dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
    public static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"

    public static func isIndex(_ type: String) -> Bool { type == index || type == dockerManifestList }
    public static func isManifest(_ type: String) -> Bool { type == manifest || type == dockerManifest }
}

/// How a layer's tar is compressed.
public enum LayerCompression: String, Codable, Sendable {
    case none
    case gzip
    case zstd

    /// From a layer's media type; nil for one that is not a layer known here.
    public init?(mediaType: String) {
        switch mediaType {
        case MediaType.layerTar, "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "application/vnd.docker.image.rootfs.diff.tar":
            self = .none
        case MediaType.layerTar + "+gzip", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip":
            self = .gzip
        case MediaType.layerTar + "+zstd", "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd":
            self = .zstd
        default: return nil
        }
    }
}

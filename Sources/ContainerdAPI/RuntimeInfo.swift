import Protobuf

/// `containerd.types.RuntimeInfo`, the answer of a shim called with `-info` (containerd 2, `api/types/introspection.proto`).
public struct RuntimeInfo: Message {
    public struct Version: Message {
        public var version = ""
        public var revision = ""
        public init() {}
        public static let fields: [Field<Version>] = [
            .singular(1, \.version, .string), .singular(2, \.revision, .string),
        ]
    }

    public var name = ""
    public var version: Version?
    public var annotations: [String: String] = [:]
    public init() {}
    public init(name: String, version: String) {
        self.name = name
        self.version = Version()
        self.version?.version = version
    }
    public static let fields: [Field<RuntimeInfo>] = [
        .singular(1, \.name, .string), .optional(2, \.version, .message), .map(5, \.annotations, .string),
    ]
}

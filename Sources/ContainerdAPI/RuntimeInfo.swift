import Protobuf

/// `containerd.types.RuntimeInfo`, the answer of a shim called with `-info` (containerd 2, `api/types/introspection.proto`).
public struct RuntimeInfo: Message {
    public struct Version: Message {
        public var version = ""
        public var revision = ""
        public init() {}
        public mutating func fields(_ field: inout Fields) {
            field(1, &version)
            field(2, &revision)
        }
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
    public mutating func fields(_ field: inout Fields) {
        field(1, &name)
        field(2, &version)
        field(5, &annotations)
    }
}

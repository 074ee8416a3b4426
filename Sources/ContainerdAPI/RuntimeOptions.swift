import Protobuf

/// The options of a runtime class (containerd `pkg/runtimeoptions/v1/api.proto`), which containerd hands on, wrapped in an
/// `AnyMessage`, to `start` on its standard input and to `Create` in the request.
public struct RuntimeOptions: Message {
    /// As containerd 1.6 and later write them, and as earlier ones did.
    public static let typeURLs = ["runtimeoptions.v1.Options", "cri.runtimeoptions.v1.Options"]

    /// What the file is; of no meaning here.
    public var contentType = ""
    public var configPath = ""
    /// The options as TOML, where they name no file; containerd 1.6 leaves it empty.
    public var configBody: [UInt8] = []
    public init() {}
    public mutating func fields(_ field: inout Fields) {
        field(1, &contentType)
        field(2, &configPath)
        field(3, &configBody)
    }
}

import Protobuf

/// `google.protobuf.Any`.
public struct AnyMessage: Message {
    /// Full name of the message's type, as containerd writes it (no `type.googleapis.com/` in front).
    public var typeURL = ""
    public var value: [UInt8] = []
    public init() {}
    public init<M: Message>(_ typeURL: String, _ message: M) {
        self.typeURL = typeURL
        value = message.encoded()
    }
    public mutating func fields(_ field: inout Fields) {
        field(1, &typeURL)
        field(2, &value)
    }
}

/// `google.protobuf.Timestamp`: time since the Unix epoch.
public struct Timestamp: Message, Equatable {
    public var seconds: Int64 = 0
    public var nanoseconds: Int32 = 0
    public init() {}
    public init(nanosecondsSinceEpoch: UInt64) {
        seconds = Int64(clamping: nanosecondsSinceEpoch / 1_000_000_000)
        nanoseconds = Int32(nanosecondsSinceEpoch % 1_000_000_000)
    }
    public mutating func fields(_ field: inout Fields) {
        field(1, &seconds)
        field(2, &nanoseconds)
    }
}

/// `containerd.types.Mount`. A container's rootfs is a list of them: each read-only filesystem image is a lower layer,
/// uppermost last, and a writable one takes the container's writes.
public struct Mount: Message {
    public var type = ""
    public var source = ""
    public var target = ""
    public var options: [String] = []
    public init() {}
    public init(type: String, source: String, options: [String]) {
        self.type = type
        self.source = source
        self.options = options
    }
    public mutating func fields(_ field: inout Fields) {
        field(1, &type)
        field(2, &source)
        field(3, &target)
        field(4, &options)
    }
}

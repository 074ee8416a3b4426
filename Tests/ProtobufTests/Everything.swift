import Protobuf

/// One field of every kind; `oracle.py` declares the same message to the reference implementation.
struct Everything: Message {
    var u32: UInt32 = 0
    var u64: UInt64 = 0
    var i32: Int32 = 0
    var i64: Int64 = 0
    var flag = false
    var text = ""
    var blob: [UInt8] = []
    var real = 0.0
    var fixed: UInt64 = 0
    var child: [Everything] = []
    var maybe: Int64?
    var texts: [String] = []
    var numbers: [UInt32] = []
    var children: [Everything] = []
    var labels: [String: String] = [:]
    var parts: [String: Everything] = [:]

    /// A structure cannot hold itself; the optional child lives in a list of at most one.
    var onlyChild: Everything? {
        get { child.first }
        set { child = newValue.map { [$0] } ?? [] }
    }

    static let fields: [Field<Everything>] = [
        .singular(1, \.u32, .uint32), .singular(2, \.u64, .uint64), .singular(3, \.i32, .int32),
        .singular(4, \.i64, .int64), .singular(5, \.flag, .bool), .singular(6, \.text, .string),
        .singular(7, \.blob, .bytes), .singular(8, \.real, .double), .singular(9, \.fixed, .fixed64),
        .optional(10, \.onlyChild, .message), .optional(11, \.maybe, .int64), .repeated(12, \.texts, .string),
        .repeated(13, \.numbers, .uint32), .repeated(14, \.children, .message), .map(15, \.labels, .string),
        .map(200, \.parts, .message),
    ]
}

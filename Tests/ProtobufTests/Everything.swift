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

    mutating func fields(_ field: inout Fields) {
        field(1, &u32)
        field(2, &u64)
        field(3, &i32)
        field(4, &i64)
        field(5, &flag)
        field(6, &text)
        field(7, &blob)
        field(8, &real)
        field(10, &onlyChild)
        field(11, &maybe)
        field(12, &texts)
        field(13, &numbers)
        field(14, &children)
        field(15, &labels)
        field(200, &parts)
    }
}

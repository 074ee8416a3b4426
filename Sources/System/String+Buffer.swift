extension String {
    /// What a call has written into a buffer, up to its NUL or its end; anything but UTF-8 is replaced.
    public init(buffer: [CChar]) {
        self.init(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

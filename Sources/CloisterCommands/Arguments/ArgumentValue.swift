/// A value that is written on the command line.
public protocol ArgumentValue {
    /// - Throws: `InvalidValue`, which says what would be accepted.
    init(argument: String) throws(InvalidValue)
}

/// Why a value is refused: the rest of a sentence that begins with the option and the value, e.g. `is not a size; write
/// it like 64m`.
public struct InvalidValue: Error, Equatable {
    public let reason: String
    public init(_ reason: String) { self.reason = reason }
}

extension String: ArgumentValue {
    public init(argument: String) { self = argument }
}

extension Int64: ArgumentValue {
    public init(argument: String) throws(InvalidValue) {
        guard let value = Int64(argument) else { throw InvalidValue("is not a whole number") }
        self = value
    }
}

/// An enumeration whose raw values are the words accepted.
extension ArgumentValue where Self: RawRepresentable & CaseIterable, RawValue == String {
    public init(argument: String) throws(InvalidValue) {
        guard let value = Self(rawValue: argument) else {
            throw InvalidValue("is not one of \(Self.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self = value
    }
}

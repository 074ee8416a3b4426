/// What a command declares about one of its options or arguments, for the parser and for `--help`.
struct Declaration {
    enum Kind {
        /// Takes no value, or `=true` and `=false`.
        case flag
        case option
        /// An option whose value is given with `=` or not at all; this is what it is then.
        case optionWithDefault(String)
        case argument
        /// Takes all that is left.
        case remainder
    }

    var kind: Kind
    /// Without dashes; those of one letter are short. Empty for arguments.
    var names: [String]
    /// As help shows the value, e.g. `BYTES`.
    var valueName: String
    var help: String
    /// An argument without which the command makes no sense.
    var required = false
    var hidden = false

    var isPositional: Bool {
        switch kind {
        case .argument, .remainder: true
        default: false
        }
    }

    /// `-m` or `--memory`.
    static func spell(_ name: String) -> String { name.count == 1 ? "-\(name)" : "--\(name)" }

    /// The name that messages use.
    var title: String { isPositional ? valueName : Self.spell(names.max { $0.count < $1.count } ?? valueName) }
}

/// A property that the parser fills. Found by reflection on a command's fresh instance.
protocol ParsedProperty {
    var declaration: Declaration { get }
    var isSet: Bool { get }
    func set(_ text: String) throws(InvalidValue)
}

/// A command's instance is made anew for each parse and never shared, so its properties may be references.
final class ParsedBox<Value> {
    var value: Value?
    var isSet = false
    let take: (String, Value?) throws(InvalidValue) -> Value

    init(_ value: Value?, take: @escaping (String, Value?) throws(InvalidValue) -> Value) {
        self.value = value
        self.take = take
    }

    func set(_ text: String) throws(InvalidValue) {
        value = try take(text, value)
        isSet = true
    }

    var parsed: Value {
        guard let value else {
            // The parser refuses a command line that leaves a required argument out, before anything reads it.
            preconditionFailure("read before the command line was parsed")
        }
        return value
    }
}

/// `--rm`: off unless given.
@propertyWrapper public struct Flag: ParsedProperty {
    let declaration: Declaration
    private let box: ParsedBox<Bool>

    public var wrappedValue: Bool {
        get { box.parsed }
        nonmutating set { box.value = newValue }
    }
    var isSet: Bool { box.isSet }

    public init(_ names: String..., help: String) {
        declaration = Declaration(kind: .flag, names: names, valueName: "", help: help)
        box = ParsedBox(false) { text, _ throws(InvalidValue) in
            switch text {
            case "true", "1": return true
            case "false", "0": return false
            default: throw InvalidValue("is neither true nor false")
            }
        }
    }

    func set(_ text: String) throws(InvalidValue) { try box.set(text) }
}

/// `--memory 64m`, `--memory=64m`, `-m 64m`, `-m64m`: an optional value, one with a default, or a list that grows each
/// time the option is given.
@propertyWrapper public struct Option<Value>: ParsedProperty {
    let declaration: Declaration
    private let box: ParsedBox<Value>

    public var wrappedValue: Value {
        get { box.parsed }
        nonmutating set { box.value = newValue }
    }
    var isSet: Bool { box.isSet }

    private init(
        _ names: [String], _ valueName: String, _ help: String, _ value: Value, ifBare: String? = nil,
        take: @escaping (String, Value?) throws(InvalidValue) -> Value
    ) {
        declaration = Declaration(
            kind: ifBare.map { .optionWithDefault($0) } ?? .option, names: names, valueName: valueName, help: help)
        box = ParsedBox(value, take: take)
    }

    /// - Parameter ifBare: makes the value optional (`--timings` or `--timings=json`): what it is when left out.
    public init<T: ArgumentValue>(_ names: String..., value: String, ifBare: String? = nil, help: String)
    where Value == T? {
        self.init(names, value, help, nil, ifBare: ifBare) { text, _ throws(InvalidValue) in try T(argument: text) }
    }

    public init<T: ArgumentValue>(_ names: String..., value: String, help: String) where Value == [T] {
        self.init(names, value, help, []) { text, list throws(InvalidValue) in (list ?? []) + [try T(argument: text)] }
    }

    public init(wrappedValue: Value, _ names: String..., value: String, help: String) where Value: ArgumentValue {
        self.init(names, value, help, wrappedValue) { text, _ throws(InvalidValue) in try Value(argument: text) }
    }

    func set(_ text: String) throws(InvalidValue) { try box.set(text) }
}

/// A positional argument: one value, an optional one, or all that are left.
@propertyWrapper public struct Argument<Value>: ParsedProperty {
    let declaration: Declaration
    private let box: ParsedBox<Value>

    public var wrappedValue: Value { box.parsed }
    var isSet: Bool { box.isSet }

    public init(_ name: String, help: String) where Value: ArgumentValue {
        declaration = Declaration(kind: .argument, names: [], valueName: name, help: help, required: true)
        box = ParsedBox(nil) { text, _ throws(InvalidValue) in try Value(argument: text) }
    }

    public init<T: ArgumentValue>(_ name: String, required: Bool = false, help: String) where Value == [T] {
        declaration = Declaration(kind: .remainder, names: [], valueName: name, help: help, required: required)
        box = ParsedBox([]) { text, list throws(InvalidValue) in (list ?? []) + [try T(argument: text)] }
    }

    func set(_ text: String) throws(InvalidValue) { try box.set(text) }
}

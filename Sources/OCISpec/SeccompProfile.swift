/// A system-call filter (config-linux.md, "Seccomp").
public struct SeccompProfile: Codable, Equatable, Sendable {
    public var defaultAction: Action
    /// What the calls refused by `defaultAction` fail with; nil is EPERM.
    public var defaultErrnoRet: UInt32?
    /// e.g. `SCMP_ARCH_X86_64`; empty is the machine's own.
    public var architectures: [String]
    /// e.g. `SECCOMP_FILTER_FLAG_LOG`.
    public var flags: [String]
    public var syscalls: [Rule]

    public init(
        defaultAction: Action, defaultErrnoRet: UInt32? = nil, architectures: [String] = [], flags: [String] = [],
        syscalls: [Rule] = []
    ) {
        self.defaultAction = defaultAction
        self.defaultErrnoRet = defaultErrnoRet
        self.architectures = architectures
        self.flags = flags
        self.syscalls = syscalls
    }

    /// What happens to a call. Open: names unknown here are kept for whoever loads the filter to judge.
    public struct Action: RawRepresentable, Codable, Hashable, Sendable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        public static let allow = Action(rawValue: "SCMP_ACT_ALLOW")
        public static let errno = Action(rawValue: "SCMP_ACT_ERRNO")
        public static let kill = Action(rawValue: "SCMP_ACT_KILL")
        public static let killProcess = Action(rawValue: "SCMP_ACT_KILL_PROCESS")
        public static let killThread = Action(rawValue: "SCMP_ACT_KILL_THREAD")
        public static let trap = Action(rawValue: "SCMP_ACT_TRAP")
        public static let trace = Action(rawValue: "SCMP_ACT_TRACE")
        public static let log = Action(rawValue: "SCMP_ACT_LOG")
        public static let notify = Action(rawValue: "SCMP_ACT_NOTIFY")
    }

    /// How an argument is compared. Open, as `Action` is.
    public struct Comparison: RawRepresentable, Codable, Hashable, Sendable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        public static let notEqual = Comparison(rawValue: "SCMP_CMP_NE")
        public static let less = Comparison(rawValue: "SCMP_CMP_LT")
        public static let lessOrEqual = Comparison(rawValue: "SCMP_CMP_LE")
        public static let equal = Comparison(rawValue: "SCMP_CMP_EQ")
        public static let greaterOrEqual = Comparison(rawValue: "SCMP_CMP_GE")
        public static let greater = Comparison(rawValue: "SCMP_CMP_GT")
        /// `(argument & value) == valueTwo`.
        public static let maskedEqual = Comparison(rawValue: "SCMP_CMP_MASKED_EQ")
    }

    /// Calls that share an action. All of `args` must hold.
    public struct Rule: Codable, Equatable, Sendable {
        public var names: [String]
        public var action: Action
        /// For `errno` and `trace`; nil is the profile's default.
        public var errnoRet: UInt32?
        public var args: [Argument]

        public init(names: [String], action: Action, errnoRet: UInt32? = nil, args: [Argument] = []) {
            self.names = names
            self.action = action
            self.errnoRet = errnoRet
            self.args = args
        }
    }

    /// A condition on the call's argument number `index`, from 0 to 5.
    public struct Argument: Codable, Equatable, Sendable {
        public var index: UInt32
        public var value: UInt64
        public var valueTwo: UInt64?
        public var op: Comparison

        public init(index: UInt32, value: UInt64, valueTwo: UInt64? = nil, op: Comparison) {
            self.index = index
            self.value = value
            self.valueTwo = valueTwo
            self.op = op
        }
    }
}

/// When `run` asks a registry for its image.
enum PullPolicy: String, ArgumentValue {
    case missing, always, never

    init(argument: String) throws(InvalidValue) {
        guard let policy = PullPolicy(rawValue: argument) else {
            throw InvalidValue("is none of missing, always and never")
        }
        self = policy
    }
}

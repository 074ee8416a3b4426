import OCISpec

/// `--platform`: `linux/arm64`, `linux/arm/v7`, `arm64`.
struct PlatformArgument: ArgumentValue, Equatable {
    let platform: Platform

    init(argument: String) throws(InvalidValue) {
        guard let platform = Platform(argument) else {
            throw InvalidValue("is not a platform; one looks like linux/arm64 or linux/arm/v7")
        }
        self.platform = platform
    }
}

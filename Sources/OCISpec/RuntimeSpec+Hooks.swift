extension RuntimeSpec {
    /// Programs to run at moments of a container's life (config.md, "POSIX-platform Hooks").
    public struct Hooks: Codable, Equatable, Sendable {
        /// In the runtime's namespaces, as part of create.
        public var prestart: [Hook]
        public var createRuntime: [Hook]
        /// In the container's namespaces.
        public var createContainer: [Hook]
        public var startContainer: [Hook]
        /// In the runtime's namespaces, when the container's program runs, and when the container has been deleted.
        public var poststart: [Hook]
        public var poststop: [Hook]

        public init(
            prestart: [Hook] = [], createRuntime: [Hook] = [], createContainer: [Hook] = [],
            startContainer: [Hook] = [], poststart: [Hook] = [], poststop: [Hook] = []
        ) {
            self.prestart = prestart
            self.createRuntime = createRuntime
            self.createContainer = createContainer
            self.startContainer = startContainer
            self.poststart = poststart
            self.poststop = poststop
        }
    }

    public struct Hook: Codable, Equatable, Sendable {
        /// Absolute.
        public var path: String
        /// With the program's name first.
        public var args: [String]
        /// `NAME=VALUE`; nothing is inherited.
        public var env: [String]
        /// Seconds after which it is ended; more than 0.
        public var timeout: Int64?

        public init(path: String, args: [String] = [], env: [String] = [], timeout: Int64? = nil) {
            self.path = path
            self.args = args
            self.env = env
            self.timeout = timeout
        }
    }
}

/// What `ImageStore.verify` found.
public struct Verification: Sendable, Equatable {
    public struct Finding: Sendable, Equatable {
        public enum Kind: String, Sendable, CaseIterable {
            /// The list of names.
            case list
            case content
            /// One that lacks content.
            case image
            case disk
            /// What a crash left, or what nothing needs any more: no damage.
            case leftover
        }

        public enum State: String, Sendable {
            /// No damage: the next collection takes it.
            case harmless
            case damaged
            /// It was damaged, and what was wrong is gone.
            case repaired
            /// It was damaged and could not be repaired now.
            case kept
        }

        public let kind: Kind
        /// A digest, or a name.
        public let name: String
        /// The rest of a sentence: what is wrong.
        public let problem: String
        /// What brings it back; empty when nothing needs to.
        public let remedy: String
        public internal(set) var state: State
    }

    /// What was looked at.
    public internal(set) var images = 0
    public internal(set) var blobs = 0
    public internal(set) var disks = 0
    public internal(set) var findings: [Finding] = []

    /// Whether nothing is damaged, or nothing any more.
    public var isWhole: Bool { findings.allSatisfy { $0.state == .harmless || $0.state == .repaired } }

    mutating func add(
        _ kind: Finding.Kind, _ name: String, _ problem: String, remedy: String = "", _ state: Finding.State
    ) {
        findings.append(Finding(kind: kind, name: name, problem: problem, remedy: remedy, state: state))
    }
}

/// One thing a sandbox needs of this machine.
struct Check: Encodable, Equatable {
    enum State: String, Encodable {
        case ok
        /// Sandboxes run, but not as they should.
        case warning
        /// No sandbox can run.
        case missing
    }

    var name: String
    var state: State
    /// What was found.
    var finding: String
    /// What to do about it; nil when all is well.
    var remedy: String?

    static func ok(_ name: String, _ finding: String) -> Check { Check(name: name, state: .ok, finding: finding) }
    static func warning(_ name: String, _ finding: String, _ remedy: String) -> Check {
        Check(name: name, state: .warning, finding: finding, remedy: remedy)
    }
    static func missing(_ name: String, _ finding: String, _ remedy: String) -> Check {
        Check(name: name, state: .missing, finding: finding, remedy: remedy)
    }

    static var listing: Listing<Check> {
        Listing(
            fields: [
                .init("Name", title: "CHECK") { $0.name },
                .init("State") { $0.state.rawValue },
                .init("Finding") { $0.finding + ($0.remedy.map { "; \($0)" } ?? "") },
            ], id: { $0.name })
    }
}

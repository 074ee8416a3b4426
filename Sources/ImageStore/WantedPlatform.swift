import OCISpec

/// The platform whose image is brought in, of those there are.
struct WantedPlatform {
    /// nil for this machine's.
    var asked: Platform?

    var isAsked: Bool { asked != nil }
    var wanted: Platform { asked ?? .guest }

    /// What to say of an image that is for others alone.
    func refusal(of name: String, for others: [Platform]) -> ImageError {
        let list = others.prefix(8).map(\.description).joined(separator: ", ")
        let first = others.first?.description ?? "OS/ARCHITECTURE"
        if let asked {
            return ImageError(
                "image \(name) is for \(list), not for \(asked); ask for one of those with --platform \(first)")
        }
        return ImageError(
            "image \(name) is for \(list); this machine runs \(Platform.guest): get the image for that, or say "
                + "--platform \(first) to keep this one for another machine")
    }
}

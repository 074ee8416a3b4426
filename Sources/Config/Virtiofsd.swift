import Glibc

/// The program that serves a pod's files to its guest: a package of its own (the Rust one), or a part of QEMU up to 7.2.
public enum Virtiofsd {
    /// Where distributions put it; the Rust one first. It is not meant for a PATH.
    static let usualPaths = [
        "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/libexec/qemu/virtiofsd",
        "/usr/bin/virtiofsd", "/usr/local/libexec/virtiofsd", "/usr/local/bin/virtiofsd",
    ]

    /// - Throws: `ConfigurationError` that says what to install or to configure.
    public static func locate(_ configuration: Configuration) throws(ConfigurationError) -> String {
        let candidates = configuration.virtiofsd.map { [$0] } ?? usualPaths
        if let found = candidates.first(where: { access($0, X_OK) == 0 }) { return found }
        throw ConfigurationError(
            configuration.virtiofsd.map {
                "virtiofsd is configured as \($0), which cannot be executed; mend the key virtiofsd."
            }
                ?? "virtiofsd is not found; run \"apt install virtiofsd\", or on Debian 12 \"apt install "
                + "qemu-system-common\", or set the key virtiofsd in the configuration to its path.")
    }
}

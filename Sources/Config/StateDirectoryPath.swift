import Glibc
import System

/// The directory that holds running sandboxes: whoever can write to it can pretend to be one.
public enum StateDirectoryPath {
    /// `/run/cloister` for root; `$XDG_RUNTIME_DIR/cloister` where that is the user's own; else `/tmp/cloister-UID`.
    static func standard(user: uid_t, environment: (String) -> String?) -> String {
        if user == 0 { return "/run/cloister" }
        // After `su` it may name another user's directory, or one that is gone.
        if let runtime = environment("XDG_RUNTIME_DIR"), runtime.hasPrefix("/"), owner(of: runtime) == user {
            return runtime + "/cloister"
        }
        return "/tmp/cloister-\(user)"
    }

    private static func owner(of path: String) -> uid_t? {
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR ? info.st_uid : nil
    }

    /// Makes the directory where it is missing, and checks that it is nobody else's: in /tmp anyone may have made it.
    /// - Throws: `ConfigurationError`.
    public static func prepare(_ path: String) throws(ConfigurationError) {
        let remedy = "set state_directory in the configuration to a directory of your own"
        // For root, QEMU runs as another user and must get through to its own directory.
        let mode: mode_t = geteuid() == 0 ? 0o711 : 0o700
        let isNew = !Files.exists(path)
        do {
            try Files.makeDirectories(path, mode: mode)
            // Whatever the umask.
            if isNew { try syscall("chmod", path) { chmod(path, mode) } }
        } catch {
            throw ConfigurationError("the state directory cannot be made: \(error); \(remedy).")
        }
        var info = stat()
        guard lstat(path, &info) == 0 else {
            throw ConfigurationError("the state directory cannot be used: \(SystemError("stat", path)); \(remedy).")
        }
        guard info.st_mode & S_IFMT == S_IFDIR else {
            throw ConfigurationError("the state directory \(path) is not a directory; \(remedy).")
        }
        guard info.st_uid == geteuid() else {
            throw ConfigurationError("the state directory \(path) belongs to user \(info.st_uid); \(remedy).")
        }
        guard info.st_mode & 0o022 == 0 else {
            throw ConfigurationError("others can write to the state directory \(path); run \"chmod go-w \(path)\".")
        }
        guard access(path, W_OK | X_OK) == 0 else {
            throw ConfigurationError("the state directory cannot be used: \(SystemError("access", path)); \(remedy).")
        }
    }
}

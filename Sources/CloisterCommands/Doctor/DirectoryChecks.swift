import CSystem
import Config
import Glibc
import System

/// Where sandboxes and images are kept. Nothing is made here: what is not there yet is judged by where it
/// would be.
enum DirectoryChecks {
    /// What the longest socket path adds to the state directory: a random id, and libvirt's monitor socket below it.
    static let longestSuffixInBytes = "/0123456789ab/vm/lib/qemu/domain-1-vm/monitor.sock".utf8.count

    static func state(_ path: String) -> Check {
        let name = "state directory"
        let remedy = "set state_directory in the configuration to a short path of your own"
        let room = UnixSocket.longestPathInBytes - longestSuffixInBytes
        guard path.utf8.count <= room else {
            return .missing(
                name, "\(path) has \(path.utf8.count) bytes, and the unix sockets below it allow \(room)", remedy)
        }
        guard Files.exists(path) else { return makable(name, path, remedy) }
        do throws(ConfigurationError) { try StateDirectoryPath.prepare(path) } catch {
            return .missing(name, error.description, remedy)
        }
        return .ok(name, path)
    }

    /// Less than this, and a large image does not fit.
    static let littleSpaceInBytes: Int64 = 1 << 30

    static func images(_ path: String) -> Check {
        let name = "images"
        let remedy = "set CLOISTER_DATA, or image_directory in the configuration, to a directory of your own"
        if Files.exists(path) {
            guard access(path, W_OK | X_OK) == 0 else {
                return .missing(name, "\(SystemError("write to", path))", remedy)
            }
        } else {
            let check = makable(name, path, remedy)
            guard check.state == .ok else { return check }
        }
        var info = statfs()
        guard statfs(ancestor(of: path), &info) == 0 else {
            return .missing(name, "\(SystemError("statfs", path))", remedy)
        }
        let free = Int64(
            clamping: UInt64(info.f_bavail).multipliedReportingOverflow(by: UInt64(info.f_bsize)).partialValue)
        let finding = "\(path), \(Human.size(free)) free"
        return free >= littleSpaceInBytes
            ? .ok(name, finding)
            : .warning(name, finding, "free space there, or remove images with \"cloister image remove\"")
    }

    private static func makable(_ name: String, _ path: String, _ remedy: String) -> Check {
        let parent = ancestor(of: path)
        guard access(parent, W_OK | X_OK) == 0 else {
            return .missing(
                name, "\(path) is not there and cannot be made (\(SystemError("write to", parent)))", remedy)
        }
        return .ok(name, "\(path), not made yet")
    }

    /// The nearest directory above that exists.
    private static func ancestor(of path: String) -> String {
        var path = path
        while !Files.exists(path), Files.parent(of: path) != path { path = Files.parent(of: path) }
        return path
    }
}

import CSystem
import Glibc

extension ChildProcess {
    /// Starts `path` in a user namespace in which every number is itself: with this process's user, but without any
    /// capability in the host's namespaces. What is mounted later here is mounted there too.
    /// - Parameters:
    ///   - descriptors: what the child gets as 0, 1, 2, …; at most eight. Every other descriptor is closed.
    ///   - readOnlyDirectory: cannot be written to there; what is mounted below it is as it is here.
    ///   - openFiles: how many it may have open, as far as this process may allow that.
    /// - Throws: `SystemError`, whose call is the step that failed.
    public static func spawnConfined(
        _ path: String, _ arguments: [String], descriptors: [Int32], readOnlyDirectory: String, openFiles: UInt64
    ) throws(SystemError) -> ChildProcess {
        precondition(descriptors.count <= Int(cs_most_descriptors))
        let argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for pointer in argv { free(pointer) } }
        let environment: [UnsafeMutablePointer<CChar>?] = [nil]
        guard let program = strdup(path), let directory = strdup(readOnlyDirectory) else {
            throw SystemError("start", path, errno: ENOMEM)
        }
        defer {
            free(program)
            free(directory)
        }
        var pidfd: Int32 = -1
        var step: UnsafePointer<CChar>?
        let pid = argv.withUnsafeBufferPointer { argv in
            environment.withUnsafeBufferPointer { environment in
                var what = cs_confined()
                what.path = UnsafePointer(program)
                what.arguments = argv.baseAddress
                what.environment = environment.baseAddress
                what.read_only_directory = UnsafePointer(directory)
                withUnsafeMutableBytes(of: &what.descriptors) {
                    $0.copyBytes(from: descriptors.withUnsafeBytes(Array.init))
                }
                what.descriptor_count = Int32(descriptors.count)
                what.descriptor_limit = openFiles
                return cs_spawn_confined(&what, &pidfd, &step)
            }
        }
        guard pid > 0 else {
            let code = errno
            throw SystemError("start \(path): \(step.map { String(cString: $0) } ?? "")", errno: code)
        }
        return ChildProcess(pid: pid, pidfd: FileDescriptor(pidfd))
    }
}

import AgentAPI
import CAgent
import Glibc
import System
import TTRPC

/// A program to be executed, found as a shell would.
struct Executable {
    private static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    let name: String
    let path: String

    /// - Throws: `RPCError` `notFound` or `permissionDenied`, in the words container users know.
    init(_ name: String, environment: [String]) throws(RPCError) {
        self.name = name
        guard !name.isEmpty else { throw RPCError(.invalidArgument, "no command was given") }
        if name.utf8.contains(UInt8(ascii: "/")) {
            path = name
            if let code = Self.check(name) { throw Self.error(name, code, what: "stat \(name): ") }
            return
        }
        let directories = environment.last { $0.hasPrefix("PATH=") }.map { String($0.dropFirst(5)) } ?? Self.defaultPath
        var denied = false
        for directory in directories.split(separator: ":", omittingEmptySubsequences: false) {
            // An empty entry is the working directory.
            let candidate = directory.isEmpty ? "./\(name)" : "\(directory)/\(name)"
            switch Self.check(candidate) {
            case nil:
                path = candidate
                return
            case EACCES: denied = true
            default: continue
            }
        }
        if denied { throw RPCError(.permissionDenied, "exec: \"\(name)\": permission denied") }
        throw RPCError(.notFound, "exec: \"\(name)\": executable file not found in $PATH")
    }

    /// Becomes the program. - Throws: `RPCError`: it returns only if it cannot.
    func execute(_ arguments: [String], environment: [String]) throws(RPCError) -> Never {
        let argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        let envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        let code = ca_execve(path, argv, envp)
        var hint = ""
        // The file is there: what is missing is what would run it.
        if code == ENOENT { hint = " (the program's interpreter or dynamic linker is missing)" }
        if code == ENOEXEC { hint = " (built for another architecture, or a script without a #! line)" }
        let error = Self.error(name, code, what: "")
        throw RPCError(error.code, error.message + hint)
    }

    /// Returns nil for a file that may be executed, else an errno.
    private static func check(_ path: String) -> Int32? {
        var info = stat()
        if stat(path, &info) != 0 { return errno }
        if info.st_mode & S_IFMT == S_IFDIR { return EISDIR }
        if info.st_mode & S_IFMT != S_IFREG { return EACCES }
        return access(path, X_OK) == 0 ? nil : errno
    }

    private static func error(_ name: String, _ code: Int32, what: String) -> RPCError {
        let text: String
        let status: RPCError.Code
        switch code {
        case ENOENT, ENOTDIR: (status, text) = (.notFound, "\(what)no such file or directory")
        case EACCES, EPERM: (status, text) = (.permissionDenied, "permission denied")
        case EISDIR: (status, text) = (.permissionDenied, "is a directory")
        case ENOEXEC: (status, text) = (.permissionDenied, "exec format error")
        case E2BIG: (status, text) = (.invalidArgument, "argument list too long")
        default: (status, text) = (.internal, String(cString: strerror(code)))
        }
        return RPCError(status, "exec: \"\(name)\": \(text)")
    }
}

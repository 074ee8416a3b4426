import CSystem
import Glibc

/// A failed system call: what was tried, on what, and why it failed. Printed flat as `open /run/x: Permission denied`.
public struct SystemError: Error, CustomStringConvertible, Sendable {
    /// The call or step, e.g. `open`.
    public let call: String
    /// What it was applied to; empty where there is nothing to name.
    public let subject: String
    /// The errno it failed with.
    public let errno: Int32

    public init(_ call: String, _ subject: String = "", errno: Int32 = Glibc.errno) {
        self.call = call
        self.subject = subject
        self.errno = errno
    }

    public var description: String {
        let head = subject.isEmpty ? call : "\(call) \(subject)"
        return "\(head): \(String(cString: strerror(errno)))"
    }
}

/// Runs a call that reports failure as -1, again when a signal interrupted it: the one place where EINTR is handled.
/// - Throws: `SystemError` with the call's errno.
@discardableResult
@inline(__always)
public func syscall<T: FixedWidthInteger & SignedInteger>(
    _ call: @autoclosure () -> String, _ subject: @autoclosure () -> String = "", _ body: () -> T
) throws(SystemError) -> T {
    while true {
        let result = body()
        if result != -1 { return result }
        let code = errno
        if code != EINTR { throw SystemError(call(), subject(), errno: code) }
    }
}

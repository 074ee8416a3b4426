import Glibc
import System
import Testing

/// A directory of a test's own, removed with the last reference.
final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/cloister-sandbox-XXXXXX".utf8CString)
        path = try #require(mkdtemp(&template).map { String(cString: $0) })
    }

    deinit { try? Files.removeTree(path) }
}

import CLayerUnpack
import Glibc
import LayerUnpack
import System
import Testing

/// An archive, and which directories it has for what lies in them alone ("i"), or above such a one ("h").
struct ImplicitCase: CustomTestStringConvertible, Sendable {
    let name: String
    let items: @Sendable () -> [Item]
    let marks: [String]
    var testDescription: String { name }

    init(_ name: String, _ items: @escaping @autoclosure @Sendable () -> [Item], _ marks: [String]) {
        (self.name, self.items, self.marks) = (name, items, marks)
    }
}

private let implicitCases: [ImplicitCase] = [
    .init("nothing", [], []),
    .init("all named", [.directory("a"), .directory("a/b"), .file("a/b/c")], []),
    .init("none named", [.file("a/b/c")], [". h", "a i", "a/b i"]),
    .init("the lower one named", [.directory("a/b"), .file("a/b/c")], [". h", "a i"]),
    .init("the upper one named", [.directory("a"), .file("a/b/c")], [". h", "a h", "a/b i"]),
    .init("named afterwards", [.file("a/b/c"), .directory("a"), .directory("a/b")], []),
    .init("one of two named afterwards", [.file("a/b/c"), .directory("a")], [". h", "a h", "a/b i"]),
    .init("by a whiteout", [.file("a/.wh.b")], [". h", "a i"]),
    .init("replaced by a file", [.file("a/b/c"), .file("a")], []),
    .init("through a link", [.directory("d"), .symbolicLink("l", "d"), .file("l/e/f")], [". h", "d h", "d/e i"]),
]

@Suite(.enabled(if: geteuid() == 0, "making other users' files takes root"))
struct ImplicitTests {
    @Test(arguments: implicitCases)
    func marks(_ sample: ImplicitCase) throws {
        let scratch = try Scratch()
        _ = try scratch.unpack(tar(sample.items()))
        var found: [String] = []
        func visit(_ place: String) throws {
            let path = "\(scratch.root)/\(place)"
            var info = stat()
            guard lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else { return }
            var value: UInt8 = 0
            if lgetxattr(path, ImplicitDirectory.mark, &value, 1) == 1 {
                found.append("\(place) \(Character(UnicodeScalar(value)))")
            }
            for name in try Files.list(path) { try visit(place == "." ? name : "\(place)/\(name)") }
        }
        try visit(".")
        #expect(found.sorted() == sample.marks)
    }
}

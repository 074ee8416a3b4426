import OCISpec
import System
import Testing

@testable import ImageStore

/// The images that the integration tests run, as far as the store has to do with them.
@Suite struct GeneratedTests {
    struct Case: Codable {
        var file: String
        var load: String
        var words: [String]
        var image: String
    }

    private static let repository = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }

    @Test func everyCaseIsRefusedOrAcceptedAsItsTableSays() throws {
        let workspace = try Workspace()
        let made = try workspace.run(
            "python3", [Self.repository + "/Tests/Integration/hostile_images.py", workspace.path + "/cases"])
        try #require(made, "\((try? Files.readText(workspace.path + "/log")) ?? "")")
        let cases = try OCIJSON.decode(
            [String: Case].self, from: try Files.read(workspace.path + "/cases/cases.json"))
        #expect(cases.count > 25)
        for (name, test) in cases {
            let store = try ImageStore(StoreLocation(root: "\(workspace.path)/\(name)"))
            if test.load == "refused" {
                let error = try #require(throws: ImageError.self, "\(name)") { try store.load(from: test.file) }
                for word in test.words { #expect(error.description.contains(word), "\(name): \(error)") }
                #expect(try store.list().isEmpty)
            } else {
                #expect(try store.load(from: test.file).map(\.reference?.description) == [test.image], "\(name)")
                #expect(try store.resolve(test.image).layers.count >= 1)
            }
        }
    }
}

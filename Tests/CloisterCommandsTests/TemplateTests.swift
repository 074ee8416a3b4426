import OCISpec
import Testing

@testable import CloisterCommands

@Suite struct TemplateTests {
    static let data = JSONValue.object([
        "Name": .string("alpine"), "ID": .string("0123"), "Size": .integer(42), "Ready": .bool(true), "Nothing": .null,
        "Env": .array([.string("A=1"), .string("B=2")]),
        "Config": .object(["Labels": .object(["a.b": .string("c"), "d": .string("e")])]),
    ])

    @Test(arguments: [
        ("plain", "plain"), ("", ""), ("{{.Name}}", "alpine"), ("{{ .Name }}:{{.Size}}", "alpine:42"),
        ("{{.Ready}}", "true"),
        ("a {{- .Name -}} b", "aalpineb"), ("{{.Name}} {{.Size}}", "alpine 42"),
        ("{{.Nothing}}", "<no value>"), ("{{.Env}}", "[A=1 B=2]"), ("{{.Config.Labels}}", "map[a.b:c d:e]"),
        ("{{.Config.Labels.d}}", "e"), ("{{.Id}}", "0123"),
        (#"{{.Name}}\t{{.Size}}\n"#, "alpine\t42\n"), (#"{{"\t\"x\\"}}{{`\t`}}"#, "\t\"x\\\\t"),
        ("{{json .Env}}", #"["A=1","B=2"]"#), ("{{json .Name}}", #""alpine""#),
        ("{{.Config | json}}", #"{"Labels":{"a.b":"c","d":"e"}}"#),
        ("{{json .Config.Labels}}", #"{"a.b":"c","d":"e"}"#), ("{{upper .Name}}", "ALPINE"), (#"{{"X" | lower}}"#, "x"),
        (#"{{join .Env ", "}}"#, "A=1, B=2"), (#"{{join .Nothing ","}}"#, ""), (#"{{split .Name "p"}}"#, "[al ine]"),
        (#"{{index .Config.Labels "a.b"}}"#, "c"), (#"{{index .Config.Labels "x"}}"#, ""), ("{{index .Env 1}}", "B=2"),
        (#"{{index . "Config" "Labels" "d" | upper}}"#, "E"), ("{{len .Env}}", "2"), ("{{len .Name}}", "6"),
        ("{{truncate .Name 3}}", "alp"), ("{{println .Name .Size}}", "alpine 42\n"),
        (#"{{upper (join .Env (print "-" "-"))}}"#, "A=1--B=2"),
    ])
    func isRendered(_ template: String, _ expected: String) throws {
        #expect(try Template(template).render(Self.data) == expected)
    }

    @Test(arguments: [
        ("{{", "has a \"{{\" without its \"}}\""), ("{{.Name", "has a \"{{\" without its \"}}\""),
        ("{{}}", "nothing where a field"),
        ("{{range .Env}}x{{end}}", "has \"range\", and templates do not repeat or decide here; join puts a list"),
        ("{{if .Ready}}", "has \"if\""), ("{{end}}", "has \"end\""), ("{{$x := 1}}", "has \"$\", which is not known"),
        ("{{printf .Name}}", "has \"printf\", which is no function; there are json, join"),
        ("{{Name}}", "fields begin with a dot"),
        ("{{json}}", "gives json 0 arguments"), ("{{json .Name .ID}}", "gives json 2 arguments"),
        ("{{.Name .ID}}", "what is no function"),
        ("{{.Name | .ID}}", "what is no function"), ("{{.Name |}}", "nothing where"),
        ("{{(.Name}}", "without its \")\""),
        ("{{.Name)}}", "too many"), (#"{{"x}}"#, "without its closing"), ("{{1 2}}", "what is no function"),
        ("{{1x}}", "put it in parentheses"),
        ("{{--1}}", "whole number"),
        ("{{json upper .Name}}", "put it in parentheses"),
    ])
    func isRefused(_ template: String, _ reason: String) {
        let error = #expect(throws: InvalidValue.self) { try Template(template) }
        #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "")")
    }

    @Test func parenthesesHaveAnEnd() {
        let deep = String(repeating: "(", count: 100_000)
        #expect(throws: InvalidValue("has too many parentheses within each other")) { try Template("{{\(deep)") }
    }

    @Test(arguments: [
        ("{{.Nmae}}", "there is no field .Nmae here; there are .Config, .Env, .ID, .Name, .Nothing, .Ready, .Size."),
        ("{{.Config.Env}}", "there is no field .Config.Env here; there are .Config.Labels."),
        ("{{.Name.First}}", ".Name has no fields, so there is no .Name.First."),
        ("{{index .Env 2}}", "index finds no item 2 in a list of 2."), ("{{index .Env -1}}", "index finds no item -1"),
        (#"{{index .Env "a"}}"#, "index needs a list and a number, or a map and a key."),
        (#"{{join .Name ","}}"#, "join needs a list"), ("{{len .Size}}", "len needs a list"),
        ("{{truncate .Name .Name}}", "truncate needs"),
    ])
    func failsByASentence(_ template: String, _ sentence: String) {
        let error = #expect(throws: UserError.self) { try Template(template).render(Self.data) }
        #expect(error?.description.hasPrefix("--format: \(sentence)") == true, "\(error?.description ?? "")")
    }
}

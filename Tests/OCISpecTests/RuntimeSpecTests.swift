import Testing

@testable import OCISpec

@Suite struct RuntimeSpecTests {
    @Test func absentAndNullListsAreEmptyAndUnknownKeysAreSkipped() throws {
        let text = """
            {"ociVersion":"1.0.2","novelty":{"a":1},"process":{"args":["sh"],"env":null,"cwd":"/","user":{"uid":3}},
             "root":{"path":"rootfs"},"mounts":null,
             "linux":{"namespaces":[{"type":"pid"}],"resources":{"memory":{"limit":1,"swap":-1}},
              "seccomp":{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW",
               "args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]}]}}}
            """
        let spec = try OCIJSON.decode(RuntimeSpec.self, from: Array(text.utf8))
        #expect(spec.process?.args == ["sh"])
        #expect(spec.process?.env == [])
        #expect(spec.process?.terminal == false)
        #expect(spec.process?.user == RuntimeSpec.User(uid: 3))
        #expect(spec.mounts.isEmpty)
        #expect(spec.annotations.isEmpty)
        #expect(spec.linux?.namespaces == [RuntimeSpec.Namespace(type: "pid")])
        #expect(spec.linux?.resources?.memory == RuntimeSpec.Memory(limit: 1, swap: -1))
        #expect(spec.linux?.resources?.devices == [])
        #expect(spec.linux?.seccomp?.syscalls[0].args[0].value == .max)
        #expect(spec.linux?.seccomp?.architectures == [])
    }

    @Test func emptyListsAreNotWritten() throws {
        let spec = RuntimeSpec(process: RuntimeSpec.Process(args: ["a/b"]), linux: RuntimeSpec.Linux())
        let text = String(decoding: try OCIJSON.encode(spec), as: UTF8.self)
        #expect(
            text == #"{"linux":{},"ociVersion":"1.0.2","process":{"args":["a/b"],"cwd":"/","noNewPrivileges":false,"#
                + #""terminal":false,"user":{"gid":0,"uid":0}}}"#)
        #expect(try OCIJSON.decode(RuntimeSpec.self, from: Array(text.utf8)) == spec)
    }

    @Test(arguments: [
        ("{\"ociVersion\":1}", "field \"ociVersion\" is not of the right type"),
        ("{}", "field \"ociVersion\" is missing"),
        ("{\"ociVersion\":\"1\",\"mounts\":[{}]}", "field \"mounts[0].destination\" is missing"),
        ("[]", "is not a JSON object"),
        ("{", "is not valid JSON"),
    ])
    func errorsNameTheField(_ text: String, _ expected: String) {
        #expect { try OCIJSON.decode(RuntimeSpec.self, from: Array(text.utf8)) } throws: { "\($0)" == expected }
    }
}

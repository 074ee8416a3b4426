import Testing

@testable import OCISpec

@Suite struct DefaultSpecTests {
    typealias Execution = ImageConfig.Execution

    struct CommandCase: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let image: Execution
        var overrides = ContainerOverrides()
        let expected: [String]?
    }

    static let commands: [CommandCase] = [
        CommandCase(
            testDescription: "image's entrypoint and command", image: Execution(Entrypoint: ["e"], Cmd: ["c"]),
            expected: ["e", "c"]),
        CommandCase(
            testDescription: "a command replaces Cmd alone", image: Execution(Entrypoint: ["e"], Cmd: ["c"]),
            overrides: ContainerOverrides(command: ["x", "y"]), expected: ["e", "x", "y"]),
        CommandCase(
            testDescription: "an entrypoint clears Cmd", image: Execution(Entrypoint: ["e"], Cmd: ["c"]),
            overrides: ContainerOverrides(entrypoint: ["n"]), expected: ["n"]),
        CommandCase(
            testDescription: "both", image: Execution(Entrypoint: ["e"], Cmd: ["c"]),
            overrides: ContainerOverrides(entrypoint: ["n"], command: ["x"]), expected: ["n", "x"]),
        CommandCase(
            testDescription: "an empty entrypoint clears the image's", image: Execution(Entrypoint: ["e"], Cmd: ["c"]),
            overrides: ContainerOverrides(entrypoint: [""], command: ["x"]), expected: ["x"]),
        CommandCase(testDescription: "none at all", image: Execution(), expected: nil),
        CommandCase(
            testDescription: "an empty entrypoint and no command", image: Execution(Cmd: ["c"]),
            overrides: ContainerOverrides(entrypoint: [""]), expected: nil),
    ]

    @Test(arguments: commands) func command(_ test: CommandCase) throws {
        guard let expected = test.expected else {
            #expect(throws: SpecError.self) {
                try RuntimeSpec.container(image: test.image, overrides: test.overrides)
            }
            return
        }
        let spec = try RuntimeSpec.container(image: test.image, overrides: test.overrides)
        #expect(spec.process?.args == expected)
    }

    @Test func environmentIsMergedInPlace() throws {
        let spec = try RuntimeSpec.container(
            image: Execution(Env: ["PATH=/bin", "A=1", "B=2"], Cmd: ["c"]),
            overrides: ContainerOverrides(environment: ["A=x=y", "B", "C="], hostname: "h", terminal: true))
        #expect(spec.process?.env == ["PATH=/bin", "HOSTNAME=h", "TERM=xterm", "A=x=y", "C="])
        #expect(try RuntimeSpec.container(image: Execution(Cmd: ["c"])).process?.env == [RuntimeSpec.defaultPath])
    }

    @Test func workingDirectoryAndUser() throws {
        var spec = try RuntimeSpec.container(image: Execution(User: "www:www", Cmd: ["c"], WorkingDir: "/srv"))
        #expect(spec.process?.cwd == "/srv")
        #expect(spec.annotations[RuntimeSpec.userAnnotation] == "www:www")
        spec = try RuntimeSpec.container(
            image: Execution(User: "www", Cmd: ["c"]), overrides: ContainerOverrides(user: "0"))
        #expect(spec.process?.cwd == "/")
        #expect(spec.annotations[RuntimeSpec.userAnnotation] == "0")
        #expect(throws: SpecError.self) {
            try RuntimeSpec.container(
                image: Execution(Cmd: ["c"]), overrides: ContainerOverrides(workingDirectory: "a"))
        }
    }

    @Test(
        arguments: [
            ([], [], 14, true, false), (["net_admin"], [], 15, true, true), (["ALL"], ["CAP_CHOWN"], 40, false, true),
            (["NET_ADMIN"], ["all"], 1, false, true), ([], ["CAP_CHOWN"], 13, false, false),
        ] as [([String], [String], Int, Bool, Bool)])
    func capabilities(_ add: [String], _ drop: [String], _ count: Int, _ chown: Bool, _ netAdmin: Bool) throws {
        let names = try RuntimeSpec.Capabilities.names(adding: add, dropping: drop)
        #expect(names.count == count)
        #expect(Set(names).count == count)
        #expect(names.contains("CAP_CHOWN") == chown)
        #expect(names.contains("CAP_NET_ADMIN") == netAdmin)
        #expect(throws: SpecError.self) { try RuntimeSpec.Capabilities.names(adding: ["FLY"], dropping: []) }
    }

    @Test func seccompFollowsTheCapabilities() throws {
        func allowed(_ profile: SeccompProfile) -> Set<String> {
            Set(profile.syscalls.filter { $0.action == .allow && $0.args.isEmpty }.flatMap(\.names))
        }
        let plain = SeccompProfile.default(capabilities: RuntimeSpec.Capabilities.defaultNames)
        #expect(plain.defaultAction == .errno)
        #expect(plain.defaultErrnoRet == 1)
        for call in [
            "mount", "unshare", "clone", "clone3", "io_uring_setup", "socket", "personality", "reboot", "keyctl",
        ] {
            #expect(!allowed(plain).contains(call), "\(call) is not open to all")
        }
        for call in ["read", "execve", "chroot", "statx", "arch_prctl", "ptrace"] {
            #expect(allowed(plain).contains(call), "\(call) is open")
        }
        #expect(plain.syscalls.contains { $0.names == ["clone3"] && $0.errnoRet == 38 })
        let names = plain.syscalls[0].names
        #expect(Set(names).count == names.count, "no name twice")

        let admin = SeccompProfile.default(capabilities: ["CAP_SYS_ADMIN"])
        #expect(allowed(admin).isSuperset(of: ["mount", "unshare", "clone", "clone3"]))
        #expect(!admin.syscalls.contains { $0.names == ["clone3"] })

        #expect(
            try RuntimeSpec.container(
                image: Execution(Cmd: ["c"]), overrides: ContainerOverrides(seccomp: .unconfined)
            ).linux?.seccomp == nil)
    }

    /// What a real image's configuration looks like, as Docker writes it.
    @Test func imageConfigDecodes() throws {
        let text = """
            {"architecture":"amd64","os":"linux","created":"2024-01-01T00:00:00Z","config":{"Hostname":"","User":"",
             "Env":["PATH=/bin"],"Cmd":["sh"],"Entrypoint":null,"ExposedPorts":{"80/tcp":{}},"Labels":null,
             "OnBuild":null},"rootfs":{"type":"layers","diff_ids":["sha256:aa"]},
             "history":[{"created_by":"x","empty_layer":true}]}
            """
        let config = try OCIJSON.decode(ImageConfig.self, from: Array(text.utf8))
        #expect(config.config?.Cmd == ["sh"])
        #expect(config.config?.Entrypoint == [])
        #expect(config.config?.ExposedPorts.keys.first == "80/tcp")
        #expect(config.rootfs.diff_ids == ["sha256:aa"])
        #expect(config.history[0].empty_layer == true)
    }
}

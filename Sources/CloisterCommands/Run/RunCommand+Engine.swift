extension RunCommand {
    func run() throws {
        throw UserError("the sandbox server cannot be started from here.")
    }
}

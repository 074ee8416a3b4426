import Glibc

enum InitStage {
    static let argument = "init"
    static func run() -> Never { exit(1) }
}

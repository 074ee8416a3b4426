import CSystem
import Config
import ContainerdAPI
import Glibc
import Protobuf
import System

/// What containerd runs of this program for a moment each: `start`, `delete`, `-v` and `-info`.
enum ShimCommands {
    static let name = "io.containerd.cloister.v2"
    static let version = Installation.version

    static func run(_ arguments: [String]) -> Never {
        do {
            let arguments = try ShimArguments(arguments)
            if arguments.version {
                print("containerd-shim-cloister-v2:\n  Version:  \(version)\n  Runtime:  \(name)")
            } else if arguments.info {
                try write(RuntimeInfo(name: name, version: version).encoded())
            } else {
                try run(arguments)
            }
        } catch {
            fputs("containerd-shim-cloister-v2: \(error)\n", cs_stderr())
            exit(1)
        }
        exit(0)
    }

    private static func run(_ arguments: ShimArguments) throws {
        guard ["start", "delete"].contains(arguments.verb) else {
            throw ShimError(
                "this program serves sandboxes and is started by containerd or by `cloister run`; there is nothing to run by "
                    + "hand")
        }
        guard !arguments.namespace.isEmpty, !arguments.id.isEmpty else {
            throw ShimError("\(arguments.verb) needs -namespace and -id")
        }
        if arguments.verb == "start" {
            try StartCommand(arguments).run { try write(Array($0.utf8)) }
        } else {
            try write(DeleteCommand(arguments).run().encoded())
        }
    }

    private static func write(_ bytes: [UInt8]) throws(SystemError) {
        let output = FileDescriptor(STDOUT_FILENO)
        defer { _ = output.release() }
        try output.writeAll(bytes)
    }
}

/// A failure of `start` or `delete`, as one sentence; containerd shows it to whoever asked.
struct ShimError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

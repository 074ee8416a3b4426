// FuzzWire SECONDS [SEED] [CORPUS_DIR]
// Decodes changed bytes as every message of both contracts, and feeds them to a ttrpc server and client. What decodes must
// come back the same after another round through the encoder. A crash ends the process by its signal; the input is left in
// CORPUS_DIR/../finding. The same seed and corpus give the same inputs.
import AgentAPI
import ContainerdAPI
import Glibc
import Protobuf
import System
import TTRPC

let arguments = CommandLine.arguments
guard arguments.count > 1, let seconds = Int64(arguments[1]) else {
    print("usage: FuzzWire SECONDS [SEED] [CORPUS_DIR]")
    exit(2)
}
let directory = arguments.count > 3 ? arguments[3] : nil
let finding = (directory.map { Files.parent(of: $0) } ?? "/tmp") + "/finding"
signal(SIGPIPE, SIG_IGN)

do {
    var corpus: [[UInt8]] = []
    for name in try directory.map({ try Files.list($0).sorted() }) ?? [] {
        corpus.append(try Files.read("\(directory ?? "")/\(name)"))
    }
    if corpus.isEmpty { corpus.append([]) }
    var mutator = Mutator(seed: arguments.count > 2 ? UInt64(arguments[2]) ?? 1 : 1)
    let target = WireTarget()
    let end = Clock.monotonic + .seconds(seconds)
    var runs = 0
    while Clock.monotonic < end {
        let input =
            runs < corpus.count ? corpus[runs] : mutator.change(corpus[Int(mutator.next() % UInt64(corpus.count))])
        // Written before it is used, every time: a crash leaves it behind.
        try Files.write(finding, input)
        if let fault = target.run(input) {
            print("FuzzWire: \(fault); the input is \(finding), run \(runs)")
            exit(1)
        }
        runs += 1
    }
    unlink(finding)
    print("FuzzWire: \(runs) inputs in \(seconds) s, \(target.decoded) messages decoded, no finding")
} catch {
    print("FuzzWire: \(error)")
    exit(2)
}

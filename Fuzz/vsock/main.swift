// FuzzVsock SECONDS [SEED] [CORPUS_DIR]
// Runs changed inputs against the vsock device for so many seconds. A crash ends
// the process by its signal, a device that hangs with status 1; the input is left in CORPUS_DIR/../finding. The same
// seed and corpus give the same inputs.
import Glibc
import System
import Vsock
import VsockDriver

let arguments = CommandLine.arguments
guard arguments.count > 1, let seconds = Int64(arguments[1]) else {
    print("usage: FuzzVsock SECONDS [SEED] [CORPUS_DIR]")
    exit(2)
}
let seed = arguments.count > 2 ? UInt64(arguments[2]) ?? 1 : 1
let corpusDirectory = arguments.count > 3 ? arguments[3] : nil

do {
    let corpus = try Corpus(corpusDirectory)
    var generator = Generator(seed: seed)
    let target = Target()
    let end = Clock.monotonic + .seconds(seconds)
    var runs = 0
    while Clock.monotonic < end {
        let input = runs < corpus.inputs.count ? corpus.inputs[runs] : generator.input(from: corpus.inputs)
        corpus.record(input)
        do { try target.run(input) } catch is FrontEnd.Silence {
            print("FuzzVsock: the device hung; the input is \(corpus.findingPath), seed \(seed), run \(runs)")
            exit(1)
        }
        runs += 1
    }
    corpus.clear()
    print("FuzzVsock: \(runs) inputs in \(seconds) s, \(target.devices) devices, \(target.streams) streams, no finding")
} catch {
    print("FuzzVsock: \(error)")
    exit(2)
}

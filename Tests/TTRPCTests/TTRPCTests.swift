import Glibc
import Protobuf
import System
import Testing

@testable import TTRPC

private struct Text: Message, Equatable {
    var value = ""
    init() {}
    init(_ value: String) { self.value = value }
    mutating func fields(_ field: inout Fields) {
        field(1, &value)
    }
}

private let echo = RPC<Text, Text>("test.Service", "Echo")
private let fail = RPC<Text, Text>("test.Service", "Fail")
private let wait = RPC<Text, Text>("test.Service", "Wait")
private let missing = RPC<Text, Text>("test.Service", "Missing")

@Suite struct TTRPCTests {
    private let gate = Guarded(false)

    /// As every program that serves or calls does first: a peer that hangs up is an error of a write, not a signal.
    init() { signal(SIGPIPE, SIG_IGN) }

    /// A server on one end of a socket pair and a client on the other.
    private func connect() throws -> (client: Client, raw: FileDescriptor) {
        let server = Server([
            .on(echo) { $0 },
            .on(fail) { throw RPCError(.failedPrecondition, $0.value) },
            .on(wait) { [gate] request in
                _ = gate.wait { $0 ? true : nil }
                return request
            },
        ])
        let (ours, theirs) = try makeSocketPair()
        Thread.start("server") { server.serve(connection: theirs) }
        return (Client(ours), ours)
    }

    @Test func aCallIsAnswered() throws {
        #expect(try connect().client.call(echo, Text("hello")) == Text("hello"))
    }

    @Test func anErrorKeepsItsCodeAndText() throws {
        let error = #expect(throws: RPCError.self) { try connect().client.call(fail, Text("no such luck")) }
        #expect(error?.code == .failedPrecondition)
        #expect(error?.message == "no such luck")
    }

    @Test func aMethodNobodyServesIsUnimplemented() throws {
        let error = #expect(throws: RPCError.self) { try connect().client.call(missing, Text()) }
        #expect(error?.code == .unimplemented)
    }

    /// Whoever is told to end may do so at once: the answer is on its way.
    @Test func whatComesThenComesAfterTheAnswer() throws {
        let (ours, theirs) = try makeSocketPair()
        let server = Server([
            .on(echo, then: { _ in _ = shutdown(theirs.raw, Int32(SHUT_RDWR)) }) { $0 },
            .on(fail, then: { _ in Issue.record("nothing comes after an error") }) { _ in
                throw RPCError(.aborted, "no")
            },
        ])
        Thread.start("server") { server.serve(connection: theirs) }
        let client = Client(ours)
        #expect(throws: RPCError.self) { try client.call(fail, Text("first")) }
        #expect(try client.call(echo, Text("last words")) == Text("last words"))
        let closed = Guarded(false)
        client.onClose { closed.withLock { $0 = true } }
        #expect(closed.wait(timeout: .seconds(20)) { $0 ? true : nil } == true)
    }

    @Test func whatComesThenLetsTheCallerHangUpFirst() throws {
        let (ours, theirs) = try makeSocketPair()
        let came = Guarded(false)
        let server = Server(
            [.on(echo, then: { _ in came.withLock { $0 = true } }) { $0 }], patience: .seconds(60))
        Thread.start("server") { server.serve(connection: theirs) }
        let client = Client(ours)
        #expect(try client.call(echo, Text("last words")) == Text("last words"))
        #expect(came.wait(timeout: .milliseconds(200)) { $0 ? true : nil } == nil)
        client.close()
        #expect(came.wait(timeout: .seconds(20)) { $0 ? true : nil } == true)
    }

    @Test func whatComesThenWaitsForNobodyForEver() throws {
        let (ours, theirs) = try makeSocketPair()
        let came = Guarded(false)
        let server = Server(
            [.on(echo, then: { _ in came.withLock { $0 = true } }) { $0 }], patience: .milliseconds(10))
        Thread.start("server") { server.serve(connection: theirs) }
        let client = Client(ours)
        #expect(try client.call(echo, Text("last words")) == Text("last words"))
        #expect(came.wait(timeout: .seconds(20)) { $0 ? true : nil } == true)
        client.close()
    }

    @Test func aSlowCallHoldsUpNoOther() throws {
        let client = try connect().client
        let answered = Guarded<Text?>(nil)
        Thread.start("slow") {
            let answer = try? client.call(wait, Text("slow"))
            answered.withLock { $0 = answer }
        }
        for number in 0..<100 { #expect(try client.call(echo, Text("\(number)")) == Text("\(number)")) }
        #expect(answered.withLock { $0 } == nil)
        gate.withLock { $0 = true }
        #expect(answered.wait(timeout: .seconds(10)) { $0 } == Text("slow"))
    }

    @Test func aDeadlineIsKept() throws {
        let error = #expect(throws: RPCError.self) {
            try connect().client.call(wait, Text(), timeout: .milliseconds(50))
        }
        #expect(error?.code == .deadlineExceeded)
        gate.withLock { $0 = true }
    }

    @Test func callsUnderWayFailWhenTheConnectionEnds() throws {
        let (client, _) = try connect()
        let outcome = Guarded<RPCError?>(nil)
        Thread.start("caller") {
            do throws(RPCError) { _ = try client.call(wait, Text()) } catch { outcome.withLock { $0 = error } }
        }
        client.close()
        #expect(outcome.wait(timeout: .seconds(10)) { $0 }?.code == .unavailable)
        gate.withLock { $0 = true }
    }

    @Test func aRequestOverTheLimitIsRefusedBeforeItIsSent() throws {
        let client = try connect().client
        let error = #expect(throws: RPCError.self) {
            try client.call(echo, Text(String(repeating: "x", count: 5 << 20)))
        }
        #expect(error?.code == .resourceExhausted)
        #expect(try client.call(echo, Text("still here")) == Text("still here"))
    }

    @Test(
        arguments: [
            ("length of 4 GiB", [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 1, 0]), ("half a header", [0, 0, 0]),
            ("body cut short", [0, 0, 0, 9, 0, 0, 0, 1, 1, 0, 1]),
        ] as [(String, [UInt8])])
    func aServerHangsUpOnBytesThatAreNoFrame(name: String, bytes: [UInt8]) throws {
        let server = Server([.on(echo) { $0 }])
        let (ours, theirs) = try makeSocketPair()
        let ended = Guarded(false)
        Thread.start("server") {
            server.serve(connection: theirs)
            ended.withLock { $0 = true }
        }
        try ours.writeAll(bytes)
        _ = shutdown(ours.raw, Int32(SHUT_WR))
        #expect(ended.wait(timeout: .seconds(10)) { $0 ? true : nil } == true, "\(name)")
        #expect(try ours.readToEnd(limit: 1024) == [])
    }

    @Test func bytesOfTheFrameAreThoseOfTheProtocol() throws {
        let frame = Frame(stream: 3, kind: Frame.Kind.request.rawValue, body: [0xaa, 0xbb])
        #expect(try frame.bytes() == [0, 0, 0, 2, 0, 0, 0, 3, 1, 0, 0xaa, 0xbb])
    }
}

@Suite struct FirstCallTests {
    @Test func waitsForTheOneAndAnswersIt() throws {
        let path = "/tmp/cloister-first-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        defer { unlink(path) }
        let listener = try UnixSocket.listen(path)
        let wanted = RPC<Empty, Empty>("service", "Wanted")
        let other = RPC<Empty, Empty>("service", "Other")
        Thread.start("first-call") {
            let first = try? FirstCall.wait(for: wanted, on: listener) { RPCError(.failedPrecondition, "\($0)/\($1)") }
            guard let (call, _) = first else { return }
            Server([.on(wanted) { _ in Empty() }, .on(other) { _ in throw RPCError(.aborted, "later") }]).serve(call)
        }
        // Somebody who only looks whether anybody is there.
        try UnixSocket.connect(path).close()
        let client = Client(try UnixSocket.connect(path))
        defer { client.close() }
        #expect { try client.call(other, Empty(), timeout: .seconds(20)) } throws: {
            ($0 as? RPCError)?.message == "service/Other"
        }
        _ = try client.call(wanted, Empty(), timeout: .seconds(20))
        #expect { try client.call(other, Empty(), timeout: .seconds(20)) } throws: {
            ($0 as? RPCError)?.message == "later"
        }
    }
}

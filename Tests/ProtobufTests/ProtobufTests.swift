import System
import Testing

@testable import Protobuf

@Suite struct ProtobufTests {
    /// Runs the reference implementation with lines on its standard input.
    private func oracle(_ arguments: [String], input: String = "") throws -> [String] {
        let script = Files.parent(of: #filePath) + "/oracle.py"
        let (stdin, feed) = try makePipe()
        let (drain, stdout) = try makePipe()
        let child = try ChildProcess.spawn(
            "/usr/bin/python3", [script] + arguments, descriptors: [stdin.raw, stdout.raw, 2])
        stdin.close()
        stdout.close()
        Thread.start("feed") {
            try? feed.writeAll(Array(input.utf8))
            feed.close()
        }
        let output = try drain.readToEnd(limit: 256 << 20)
        #expect(child.wait() == .exited(0))
        return String(decoding: output, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            .dropLast()
            .map(String.init)
    }

    private func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    private func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.utf8.map { $0 < 58 ? $0 - 48 : $0 - 87 }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    @Test func everyMessageOfTheReferenceIsEncodedToTheSameBytes() throws {
        let messages = try oracle(["random", "2000"])
        #expect(messages.count == 2000)
        for message in messages {
            #expect(hex(try Everything(decoding: bytes(message)).encoded()) == message)
        }
    }

    @Test func theReferenceReadsWhatWeWrite() throws {
        var generator = SystemRandomNumberGenerator()
        let lines = (0..<500).map { _ in
            var message = Everything()
            message.i32 = .random(in: .min ... .max, using: &generator)
            message.i64 = .random(in: .min ... .max, using: &generator)
            message.u64 = .random(in: 0 ... .max, using: &generator)
            message.maybe = Bool.random() ? 0 : nil
            message.numbers = (0..<Int.random(in: 0..<4)).map { _ in .random(in: 0 ... .max) }
            message.labels = ["b": "1", "a": "2", "é": ""]
            message.onlyChild = Bool.random() ? Everything() : nil
            return hex(message.encoded())
        }
        #expect(try oracle(["echo"], input: lines.joined(separator: "\n") + "\n") == lines)
    }

    @Test(
        arguments: [
            ("unknown varint", [0xf8, 0x7f, 0x05]), ("unknown fixed32", [0xfd, 0x7f, 1, 2, 3, 4]),
            ("unknown fixed64", [0xf9, 0x7f, 1, 2, 3, 4, 5, 6, 7, 8]), ("unknown bytes", [0xfa, 0x7f, 2, 9, 9]),
            ("unknown group", [0xfb, 0x7f, 0x08, 0x01, 0xfc, 0x7f]),
            ("known number, other wire type", [0x32, 0x00, 0x30, 0x07]),
        ] as [(String, [UInt8])])
    func unknownFieldsAreSkipped(name: String, bytes: [UInt8]) throws {
        #expect(try Everything(decoding: bytes + [0x08, 0x07]).u32 == 7, "\(name)")
    }

    @Test(
        arguments: [
            ("tag without value", [0x08], .truncated), ("length beyond the end", [0x32, 0x05, 0x61], .truncated),
            ("length beyond Int", [0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], .truncated),
            ("varint of eleven bytes", [UInt8](repeating: 0xff, count: 11), .malformedVarint),
            ("field number zero", [0x00, 0x00], .badTag(0)), ("wire type six", [0x0e], .badTag(14)),
            ("group never ended", [0x0b], .truncated), ("end of no group", [0x0c], .badTag(12)),
            ("not UTF-8", [0x32, 0x01, 0xff], .badUTF8),
            ("short fixed64", [0x49, 1, 2], .truncated),
        ] as [(String, [UInt8], DecodingError)])
    func malformedBytesAreRefused(name: String, bytes: [UInt8], expected: DecodingError) {
        #expect(throws: expected, "\(name)") { try Everything(decoding: bytes) }
    }

    @Test func nestingIsBounded() {
        var bytes: [UInt8] = []
        for _ in 0..<200 {
            var outer = Encoder()
            outer.tag(10, .lengthDelimited)
            outer.lengthDelimited(bytes)
            bytes = outer.bytes
        }
        #expect(throws: DecodingError.tooDeep) { try Everything(decoding: bytes) }
        #expect(throws: DecodingError.tooDeep) { try Everything(decoding: [UInt8](repeating: 0x0b, count: 200)) }
    }
}

import AgentAPI
import TTRPC
import Testing

@testable import AgentCore

/// Rules, and what they answer to requests such as "c 1:3 rw".
struct DeviceFilterCase: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let rules: [String]
    let allowed: [String]
    let refused: [String]
}

private let deviceFilterCases = [
    DeviceFilterCase(
        testDescription: "a container's defaults",
        rules: ["deny a *:* rwm", "allow c *:* m", "allow b *:* m", "allow c 1:3 rwm", "allow c 136:* rwm"],
        allowed: ["c 1:3 rw", "c 1:3 m", "c 136:0 rw", "c 136:1048575 r", "b 254:0 m", "c 9:9 m"],
        refused: ["b 254:0 r", "c 1:1 r", "c 9:9 rm", "b 1:3 w", "c 1:4 w"]),
    DeviceFilterCase(
        testDescription: "the last that fits decides", rules: ["deny a *:* rwm", "allow b 8:0 rwm", "deny b 8:0 w"],
        allowed: ["b 8:0 r", "b 8:0 rm"], refused: ["b 8:0 w", "b 8:0 rw", "b 8:1 r"]),
    DeviceFilterCase(
        testDescription: "everything", rules: ["deny b 8:0 rwm", "allow a *:* rwm"], allowed: ["b 8:0 rwm", "c 5:5 w"],
        refused: []),
    DeviceFilterCase(
        testDescription: "what none is for", rules: ["allow c 1:3 r"], allowed: ["c 1:3 r"],
        refused: ["c 1:3 w", "b 1:3 r"]),
]

@Suite struct DeviceFilterTests {
    @Test(arguments: deviceFilterCases)
    func answers(_ sample: DeviceFilterCase) throws {
        let filter = try #require(try DeviceFilter(try sample.rules.map(rule)))
        for request in sample.allowed { #expect(try run(filter.program, request), "\(request)") }
        for request in sample.refused { #expect(try !run(filter.program, request), "\(request)") }
    }

    @Test func withoutRulesThereIsNoFilter() throws { #expect(try DeviceFilter([]) == nil) }

    @Test(arguments: ["allow x *:* rwm", "allow c *:* rwx", "allow c 4294967296:1 r", "allow c -2:1 r"])
    func refusals(_ text: String) throws {
        let rule = try rule(text)
        #expect(throws: RPCError.self) { try DeviceFilter([rule]) }
    }

    private func rule(_ text: String) throws -> DeviceRule {
        let words = text.split(separator: " ")
        var rule = DeviceRule()
        rule.allow = words[0] == "allow"
        rule.type = String(words[1])
        let numbers = words[2].split(separator: ":")
        rule.major = Int64(numbers[0])
        rule.minor = Int64(numbers[1])
        rule.access = String(words[3])
        return rule
    }

    /// Runs the instructions that filters are made of, as linux/bpf.h defines them.
    private func run(_ program: [UInt64], _ request: String) throws -> Bool {
        let words = request.split(separator: " ")
        let numbers = words[1].split(separator: ":").compactMap { UInt64($0) }
        let access = words[2].reduce(UInt64(0)) { $0 | ($1 == "m" ? 1 : $1 == "r" ? 2 : 4) }
        let context: [Int: UInt64] = [0: access << 16 | (words[0] == "b" ? 1 : 2), 4: numbers[0], 8: numbers[1]]
        var registers = [UInt64](repeating: 0, count: 11)
        var position = 0
        while true {
            let word = try #require(program.indices.contains(position) ? program[position] : nil)
            let (target, source) = (Int(word >> 8 & 15), Int(word >> 12 & 15))
            let (offset, value) = (Int(Int16(bitPattern: UInt16(word >> 16 & 0xffff))), word >> 32)
            position += 1
            switch word & 0xff {
            case 0x61: registers[target] = try #require(context[offset])
            case 0x54: registers[target] &= value
            case 0x74: registers[target] >>= value
            case 0xbc: registers[target] = registers[source]
            case 0xb7: registers[target] = value
            case 0x55: if registers[target] != value { position += offset }
            case 0x5d: if registers[target] != registers[source] { position += offset }
            case 0x15: if registers[target] == value { position += offset }
            case 0x95: return registers[0] == 1
            default: Issue.record("instruction \(word & 0xff)")
            }
        }
    }
}

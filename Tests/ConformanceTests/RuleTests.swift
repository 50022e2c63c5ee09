import DriverConformance
import Foundation
import Testing
import BuildKit

struct RuleTests {
    /// Lines such as `// D7: ...` of every header, by header.
    private static func stated() throws -> [String: String] {
        var found: [String: String] = [:]
        for header in Set(Rule.all.map(\.header)) {
            let text = try String(contentsOfFile: "\(SharedLibrary.headers)/baton/\(header)", encoding: .utf8)
            for line in text.split(separator: "\n") where line.hasPrefix("// D") {
                let parts = line.dropFirst(3).split(separator: ":", maxSplits: 1)
                guard parts.count == 2, parts[0].dropFirst().allSatisfy(\.isNumber) else { continue }
                found["\(header) \(parts[0])"] = parts[1].trimmingCharacters(in: .whitespaces)
            }
        }
        return found
    }

    @Test("every rule stands in its header, word for word, and every rule of a header has a check")
    func headersAgree() throws {
        let wanted = Dictionary(uniqueKeysWithValues: Rule.all.map { ("\($0.header) \($0.id)", $0.sentence) })
        #expect(try Self.stated() == wanted)
    }

    @Test("rules are numbered from 1 without a gap, and each is one sentence")
    func numbers() {
        #expect(Rule.all.map(\.number) == Array(1...Rule.all.count))
        for rule in Rule.all { #expect(rule.sentence.hasSuffix(".") && !rule.sentence.contains("\n"), "\(rule.id)") }
    }

    @Test("exceptions name a rule and a reason, and what is wrong with them is one line")
    func exceptions() throws {
        let folder = try TemporaryFolder()
        let good = try folder.write(#"{"D3": {"kind": "xfail", "reason": "one more symbol until the next release"}}"#, to: "good.json")
        #expect(try Exceptions(reading: good).rules["D3"]?.kind == .xfail)
        for (name, text) in [
            ("rule", #"{"D999": {"kind": "xfail", "reason": "r"}}"#), ("reason", #"{"D3": {"kind": "xfail", "reason": ""}}"#),
            ("kind", #"{"D3": {"kind": "flaky", "reason": "r"}}"#), ("json", "{"),
        ] {
            let path = try folder.write(text, to: "\(name).json")
            let error = #expect(throws: ConformanceError.self) { _ = try Exceptions(reading: path) }
            #expect(error.map { !$0.description.contains("\n") && $0.description.contains("\(name).json") } == true)
        }
    }
}

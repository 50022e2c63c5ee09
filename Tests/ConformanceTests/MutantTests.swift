import BuildKit
import DriverConformance
import Foundation
import TestKit
import Testing

/// The suite is held to drivers that are known to be wrong: each fails the rule it breaks and no other.
@Suite(.serialized, .enabled(if: Tool.cc != nil && TestDrivers.has("null"), "no C compiler, or nothing is built"))
struct MutantTests {
    /// `make mutants` runs every rule against every mutant; tests run each mutant's own rule and some others, of a seed.
    private static let isFull = ProcessInfo.processInfo.environment["BATON_MUTANTS"] == "full"

    private static func rules(_ defect: Int) -> [Rule] {
        guard !isFull else { return Rule.all }
        var state = UInt64(defect) &* 0x9E37_79B9_7F4A_7C15 | 1
        let some = (0..<3).map { _ -> Int in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(Rule.all.count)) + 1
        }
        let wanted = Set(some + [defect % 100])
        return Rule.all.filter { wanted.contains($0.number) }
    }

    @Test("the driver that mutants are made of keeps every rule")
    func good() throws {
        let mutants = try Mutants()
        let verdicts = try Conformance.verdicts(try mutants.library(0))
        #expect(verdicts.isConformant, "\(Conformance.broken(verdicts))")
    }

    @Test("for every rule there is a driver that breaks it, and no driver breaks another")
    func eachBreaksItsRule() throws {
        let mutants = try Mutants()
        #expect(Set(Mutants.all.map(Mutants.rule)) == Set(Rule.all.map(\.id)))
        var checks = 0
        for defect in Mutants.all {
            let verdicts = try Conformance.verdicts(try mutants.library(defect), rules: Self.rules(defect))
            let broken = verdicts.filter { $0.outcome == .fail }
            checks += verdicts.count
            #expect(broken.map(\.rule) == [Mutants.rule(defect)], "mutant d\(defect) breaks \(broken.map { "\($0.rule) (\($0.words))" })")
        }
        print("\(Mutants.all.count) mutants, \(checks) checks")
    }
}

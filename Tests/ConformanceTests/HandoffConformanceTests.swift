import BuildKit
import DriverConformance
import HandoffConformance
import TestKit
import Testing

/// Drivers handed from one to another by the built command, as their authors try them.
@Suite(.serialized, .enabled(if: TestDrivers.has("cpu"), "the cpu driver is not there"))
struct HandoffConformanceTests {
    private func verdicts(_ subjects: [HandoffSubject], only: [String] = []) throws -> [Verdict] {
        let rules = HandoffConformance(subjects).rules.filter { rule in only.isEmpty || only.contains { rule.id.hasPrefix($0 + ":") } }
        let others = subjects.dropFirst().flatMap { ["--with", ([$0.path] + $0.options.map { "\($0.0)=\($0.1)" }).joined(separator: ",")] }
        let arguments = ["driver", "test", subjects[0].path] + subjects[0].options.flatMap { ["--option", "\($0.0)=\($0.1)"] } + others + ["--one"]
        var suite = Suite(
            library: subjects[0].path, options: [], rules: rules, exceptions: Exceptions(), program: Conformance.baton, arguments: arguments)
        suite.jobs = 2
        suite.timeout = 240
        return try suite.run()
    }

    private func library(_ name: String) -> String { TestDrivers.folder + "/libbaton-\(name).so" }

    @Test("every ordered pair of this build's drivers and a template's keeps every rule of a handoff", .enabled(if: Tool.cc != nil))
    func everyPair() throws {
        let mutants = try Mutants()
        var subjects = [HandoffSubject(path: library("cpu"), options: [("numerics", "f32")])]
        subjects += ["trainium3", "cs3"].filter(TestDrivers.has).map { HandoffSubject(path: library($0)) }
        subjects.append(HandoffSubject(path: try mutants.library(0)))
        let verdicts = try verdicts(subjects)
        #expect(verdicts.count == subjects.count * subjects.count * HandoffRule.all.count)
        #expect(verdicts.isConformant, "\(verdicts.filter(\.isBad).map { "\($0.rule) \($0.header): \($0.words)" }.joined(separator: "\n"))")
    }

    @Test("drivers that leave out the last token on import, lay KV out otherwise than they say, copy what they adopt, or embed otherwise are found out", .enabled(if: Tool.cc != nil), arguments: [
        (61, "H1:0-1"), (60, "H1:0-1"), (62, "H6:1-1"), (35, "H2:0-1"),
    ])
    func broken(defect: Int, rule: String) throws {
        let mutants = try Mutants()
        let subjects = [HandoffSubject(path: try mutants.library(0)), HandoffSubject(path: try mutants.library(defect))]
        let verdicts = try verdicts(subjects, only: [String(rule.prefix(2))])
        #expect(verdicts.contains { $0.rule == rule && $0.outcome == .fail }, "\(verdicts.map { "\($0.rule) \($0.outcome) \($0.words)" })")
        #expect(verdicts.contains { $0.rule == "\(rule.prefix(2)):0-0" && $0.outcome == .pass })
    }
}

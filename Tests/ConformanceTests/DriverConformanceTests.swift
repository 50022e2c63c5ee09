import BuildKit
import Driver
import DriverConformance
import Foundation
import TestKit
import Testing

@Suite(.serialized)
struct DriverConformanceTests {
    @Test("the drivers of this build keep every rule", arguments: ["cpu", "trainium3", "cs3"].filter(TestDrivers.has))
    func builtDrivers(name: String) throws {
        let verdicts = try Conformance.verdicts(TestDrivers.folder + "/libbaton-\(name).so")
        #expect(verdicts.isConformant, "\(Conformance.broken(verdicts))")
        #expect(verdicts.count == Rule.all.count)
    }

    @Test("a driver keeps every rule from a process of its own too", .enabled(if: TestDrivers.has("cpu")))
    func isolated() throws {
        let verdicts = try Conformance.verdicts(TestDrivers.folder + "/libbaton-cpu.so", isIsolated: true)
        #expect(verdicts.isConformant, "\(Conformance.broken(verdicts))")
        #expect(verdicts.filter { $0.outcome == .pass }.count == Rule.all.count)
    }

    @Test("the null driver keeps the rules it does not declare unsupported", .enabled(if: TestDrivers.has("null")))
    func nullDriver() throws {
        let exceptions = try Exceptions(reading: SharedLibrary.root + "/Plugins/null/conformance.json")
        let verdicts = try Conformance.verdicts(TestDrivers.folder + "/libbaton-null.so", exceptions: exceptions)
        #expect(verdicts.isConformant, "\(Conformance.broken(verdicts))")
        #expect(verdicts.filter { $0.outcome == .pass }.count == 12)
    }

    /// With BATON_LAYERED=full every rule runs around layers; else some of them, of a seed.
    private static func layeredRules(_ name: String) -> [Rule] {
        guard ProcessInfo.processInfo.environment["BATON_LAYERED"] != "full" else { return Rule.all }
        var state = name.utf8.reduce(UInt64(7)) { $0 &* 31 &+ UInt64($1) }
        let wanted = Set((0..<8).map { _ -> Int in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % Rule.all.count + 1
        })
        return Rule.all.filter { wanted.contains($0.number) }
    }

    @Test("layers that look on change nothing: every driver keeps its rules within them", arguments: ["cpu", "trainium3", "cs3", "null"].filter(TestDrivers.has))
    func layered(name: String) throws {
        let folder = try TemporaryFolder()
        let calls = folder.file("calls.jsonl")
        let exceptions = name == "null" ? try Exceptions(reading: SharedLibrary.root + "/Plugins/null/conformance.json") : Exceptions()
        let verdicts = try Conformance.verdicts(
            TestDrivers.folder + "/libbaton-\(name).so", rules: Self.layeredRules(name), exceptions: exceptions, layers: "validate,trace:file=\(calls)")
        #expect(verdicts.isConformant, "\(Conformance.broken(verdicts))")
        #expect(!verdicts.isEmpty && (name == "null" || FileManager.default.fileExists(atPath: calls)), "no call went through the layers")
    }

    @Test("a rule that is declared to fail and passes is flagged; one that fails is not")
    func expectedFailures() throws {
        let library = TestDrivers.folder + "/libbaton-null.so"
        try #require(TestDrivers.has("null"))
        let rules = Rule.all.filter { ["D3", "D18"].contains($0.id) }
        let declared = Exceptions(["D3": .init(kind: .xfail, reason: "soon"), "D18": .init(kind: .xfail, reason: "soon")])
        let verdicts = try Conformance.verdicts(library, rules: rules, exceptions: declared)
        #expect(verdicts.map(\.outcome) == [.xpass, .xfail])
        #expect(!verdicts.isConformant)
    }
}

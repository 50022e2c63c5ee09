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

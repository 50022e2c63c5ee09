import BuildKit
import Foundation
import TestKit
import Testing

/// The page that `baton doctor` prints, and what it makes of drivers that are not as they should be.
@Suite("Doctor", .enabled(if: Command.isThere && TestDrivers.has("cpu"), "the command or the cpu driver is not built"))
struct DoctorTests {
    @Test("the page has its five parts, fits 80 columns but for tables, and ends well")
    func page() throws {
        let folder = try Scratch()
        let run = try Command.run("doctor", in: folder.path, environment: ["COLUMNS": "80", "BATON_DRIVERS_SELECT": "cpu"])
        #expect(run.status == 0, "\(run.error)")
        let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        for part in ["machine", "drivers", "devices", "handoff", "what to do"] { #expect(lines.contains(part)) }
        #expect(lines.filter { $0.hasPrefix("  - ") }.allSatisfy { $0.count <= 80 })
        #expect(run.output.contains("12 of 12 rules (quick)"))
    }

    @Test("its JSON marks each leg of a handoff as wall or modelled", .enabled(if: TestDrivers.has("cs3"), "the cs3 driver is not built"))
    func json() throws {
        let folder = try Scratch()
        let run = try Command.run("doctor", "--json", in: folder.path, environment: ["BATON_DRIVERS_SELECT": "cpu,cs3"])
        #expect(run.status == 0, "\(run.error)")
        let pairs = try #require(run.json["pairs"] as? [[String: Any]])
        #expect(pairs.count == 2)
        for pair in pairs {
            let legs = try #require(pair["legs"] as? [[String: Any]])
            #expect(Set(legs.compactMap { $0["clock"] as? String }) == ["wall", "modelled"])
            #expect(legs.allSatisfy { ($0["bytesPerSecond"] as? Double ?? 0) > 0 })
        }
    }

    @Test("a refused driver is on the page with its reason, and ends in 1", .enabled(if: Tool.cc != nil, "no C compiler"))
    func refused() throws {
        let built = try TemporaryFolder()
        let library = try SharedLibrary.build("Tests/Fixtures/drivers/old.c", name: "baton-bare", in: built, flags: ["-DWITHOUT_NOTE"])
        let run = try Command.run("doctor", in: built.path, environment: ["BATON_DRIVER_FILES": library])
        #expect(run.status == 1)
        // Where lines break depends on how long the path is.
        let words = run.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        #expect(words.contains("refused") && words.contains("no Baton note") && words.contains("Driver bare is refused"))
    }
}

import BuildKit
import Foundation
import TestKit
import Testing

/// `baton driver test` on this build's drivers and on broken ones. Rules that measure time are left to runs on a quiet machine.
@Suite("Conformance", .enabled(if: Command.isThere, "the command is not there"))
struct DriverTestTests {
    /// Entry, statuses, device, buffers, timelines' order, every operation, KV layouts.
    private static let rules = "D1,D2,D3,D4,D5,D6,D7,D8,D9,D10,D11,D12,D18,D19,D20,D22,D23,D24,D31,D32,D33,D39,D40,D41"

    @Test("a driver of this build keeps the rules", arguments: ["cpu", "trainium3", "cs3"])
    func keeps(driver: String) throws {
        try #require(TestDrivers.has(driver) || !FileManager.default.fileExists(atPath: Command.root + "/Plugins/" + driver))
        guard TestDrivers.has(driver), TestDrivers.has("cpu") else { return }
        let folder = try Scratch()
        let result = try Command.run("driver", "test", "\(TestDrivers.folder)/libbaton-\(driver).so", "--only", Self.rules, in: folder.path)
        #expect(result.status == 0, "\(result.output.suffix(600)) \(result.error)")
    }

    @Test("shapes are drawn from a seed, which the verdict says", .enabled(if: TestDrivers.has("cpu"), "the cpu driver is not there"), arguments: [[], ["--seed", "7"]])
    func seeds(option: [String]) throws {
        let folder = try Scratch()
        let result = try Command.run(["driver", "test", "\(TestDrivers.folder)/libbaton-cpu.so", "--only", "D41", "--json"] + option, in: folder.path)
        let verdict = try #require((result.json["verdicts"] as? [[String: Any]])?.first)
        #expect((verdict["words"] as? String)?.hasSuffix("drawn shapes, seed \(option.last ?? "1")") == true, "\(verdict)")
    }

    @Test("a library with a second symbol breaks the rule of one symbol", .enabled(if: Tool.cc != nil, "no C compiler"))
    func secondSymbol() throws {
        let built = try TemporaryFolder()
        let library = try SharedLibrary.driver("two_symbols", in: built)
        let folder = try Scratch()
        let result = try Command.run("driver", "test", library, "--only", "D3", in: folder.path)
        #expect(result.status == 1)
        #expect((result.output + result.error).contains("D3"))
    }

    @Test("the null driver, which does nothing, breaks the rule that buffers hold", .enabled(if: TestDrivers.has("null"), "the null driver is not there"))
    func null() throws {
        let folder = try Scratch()
        let result = try Command.run("driver", "test", "\(TestDrivers.folder)/libbaton-null.so", "--only", "D18", in: folder.path)
        #expect(result.status == 1)
    }
}

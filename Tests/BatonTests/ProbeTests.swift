import BuildKit
import Foundation
import TestKit
import Testing

/// Drivers that are not known run in a child before they run in the command.
@Suite(.enabled(if: Command.isThere && Tool.cc != nil, "the command or a C compiler is not there"))
struct ProbeTests {
    private static func candidates(_ command: Command) -> [[String: Any]] {
        (command.json["report"] as? [String: Any])?["candidates"] as? [[String: Any]] ?? []
    }

    private func report(_ flags: [String]) throws -> (command: Command, candidate: [String: Any]) {
        let folder = try TemporaryFolder()
        // What hangs is given up after ten seconds.
        let library = try SharedLibrary.build("Tests/Fixtures/drivers/ends_in_entry.c", name: "baton-ends_in_entry", in: folder, flags: flags)
        let command = try Command.run(
            "drivers", "--json", in: folder.path, environment: ["BATON_DRIVER_FILES": library, "XDG_CACHE_HOME": folder.path])
        let candidates = Self.candidates(command)
        return (command, candidates.first { $0["path"] as? String == library } ?? [:])
    }

    @Test(
        "one whose entry crashes, calls exit() or never returns is refused in one line, and the command goes on",
        arguments: [([], "SIGSEGV"), (["-DEXITS"], "exited with status 5"), (["-DHANGS"], "did not return from entry")] as [([String], String)])
    func ends(flags: [String], words: String) throws {
        let (command, candidate) = try report(flags)
        #expect(command.status == 0 && candidate["decision"] as? String == "refused", "\(command.output) \(command.error)")
        let error = candidate["error"] as? String ?? ""
        #expect(error.contains(words) && error.contains("it was tried in a child, and nothing was loaded") && !error.contains("\n"), "\(error)")
    }

    @Test("one that behaves is loaded, and its bytes are known from then on", .enabled(if: SharedLibrary.hasNullDriver))
    func behaves() throws {
        let folder = try TemporaryFolder()
        let library = try SharedLibrary.build("Plugins/null/driver.c", name: "baton-other", in: folder)
        let home = folder.file("baton")
        defer {
            unlink(home + "/probed")
            rmdir(home)
        }
        for _ in 0..<2 {
            let command = try Command.run(
                "drivers", "--json", in: folder.path, environment: ["BATON_DRIVER_FILES": library, "XDG_CACHE_HOME": folder.path])
            #expect(Self.candidates(command).first?["decision"] as? String == "loaded", "\(command.output) \(command.error)")
            let known = String(decoding: FileManager.default.contents(atPath: home + "/probed") ?? Data(), as: UTF8.self)
            #expect(known.split(separator: "\n").count == 1)
        }
    }
}

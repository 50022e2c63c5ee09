import BuildKit
import DriverConformance
import Foundation
import TestKit
import Testing

/// Old and new hosts and drivers, each built with the headers of its version, loaded and run.
@Suite(.serialized, .enabled(if: Tool.cc != nil && TestDrivers.has("null"), "no C compiler, or nothing is built"))
struct VersionMatrixTests {
    private static let sources = ["batch", "buffer", "cost", "device", "driver", "kv", "operations", "program", "queue", "timeline"]

    /// The template's driver as its author would have built it then.
    private func driver(_ version: String, _ versions: ContractVersions, in folder: TemporaryFolder) throws -> String {
        let library = folder.file("libbaton-of-\(version).so")
        let root = SharedLibrary.root
        // Contract 1.0 had no note.
        let flags = version == "1.0" ? ["-DBATON_DRIVER_NOTE(...)=_Static_assert(1, \"\")"] : []
        try Tool.cc?.check(
            ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden", "-I", versions.include(version)] + flags
                + ["-DDRIVER_NAME=\"of-\(version)\"", "-o", library] + Self.sources.map { "\(root)/Sources/CTemplates/kit/c/\($0).c" }
                + ["-Wl,--version-script=\(SharedLibrary.headers)/baton/driver.map", "-lm", "-lpthread"])
        return library
    }

    private func host(_ version: String, _ versions: ContractVersions, in folder: TemporaryFolder) throws -> Tool {
        let program = folder.file("host-\(version)")
        try Tool.cc?.check(
            ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I", versions.include(version), "-o", program, "\(SharedLibrary.root)/Tests/Fixtures/contract/host.c", "-ldl", "-lm"])
        return Tool(at: program)
    }

    @Test("every host runs every driver of its major, old or new, and refuses those of another")
    func matrix() throws {
        let versions = try ContractVersions()
        defer { versions.remove() }
        let folder = try TemporaryFolder()
        let drivers = try Dictionary(uniqueKeysWithValues: ContractVersions.all.map { ($0, try driver($0, versions, in: folder)) })
        for version in ContractVersions.all {
            let host = try host(version, versions, in: folder)
            for other in ContractVersions.all {
                let output = try host.run([drivers[other] ?? ""])
                let wanted = ContractVersions.agreed(version, other).map { "agreed \($0)" } ?? "refused \(other == "2.0" ? "2.0..2.0" : "1.0..")"
                #expect(output.status == 0 && output.text.hasPrefix(wanted), "host \(version), driver \(other): \(output.text)")
            }
        }
    }

    @Test("this host's conformance suite passes drivers of the version before and of the one after", arguments: ["1.0", "next"])
    func conformance(version: String) throws {
        let versions = try ContractVersions()
        defer { versions.remove() }
        let folder = try TemporaryFolder()
        let verdicts = try Conformance.verdicts(try driver(version, versions, in: folder))
        #expect(verdicts.isConformant, "\(Conformance.broken(verdicts))")
    }

    @Test("the contract as it was published does not change", arguments: ["1.0"])
    func frozen(version: String) throws {
        let status = try String(contentsOfFile: SharedLibrary.root + "/Tests/Fixtures/contract/\(version)/baton/status.h", encoding: .utf8)
        #expect(status.contains("BATON_ABI_MAJOR 1u") && status.contains("BATON_ABI_MINOR 0u"))
        let changes = try String(contentsOfFile: SharedLibrary.headers + "/CHANGELOG.md", encoding: .utf8)
        #expect((0...ContractVersions.now.minor).allSatisfy { changes.contains("**1.\($0)**") })
    }
}

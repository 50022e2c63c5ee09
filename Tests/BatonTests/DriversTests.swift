import Foundation
import TestKit
import Testing

/// `baton drivers` where the environment puts layers around them.
@Suite(.enabled(if: Command.isThere && TestDrivers.has("null"), "the command or the null driver is not built"))
struct DriversTests {
    private func candidate(_ layers: String) throws -> (table: Command, null: [String: Any]) {
        let folder = try Scratch()
        let environment = ["BATON_LAYERS": layers, "BATON_DRIVER_FILES": "\(TestDrivers.folder)/libbaton-null.so"]
        let report = try Command.run("drivers", "--json", in: folder.path, environment: environment).json["report"] as? [String: Any]
        let candidates = try #require(report?["candidates"] as? [[String: Any]])
        return (try Command.run("drivers", in: folder.path, environment: environment), try #require(candidates.first))
    }

    @Test("a driver's layers have a column and a field, outermost first; without any there is neither")
    func layers() throws {
        let layered = try candidate("validate,trace:file=/dev/null")
        #expect(layered.null["layers"] as? [String] == ["validate", "trace(file=/dev/null)"])
        #expect(layered.table.output.contains("layers") && layered.table.output.contains("validate, trace(file=/dev/null)"), "\(layered.table.output)")
        let plain = try candidate("")
        #expect(plain.null["layers"] == nil && !plain.table.output.contains("layers"))
    }

    @Test("layers that there are not are named, and none is shown")
    func wrong() throws {
        let found = try candidate("valdate")
        #expect(found.null["layers"] == nil && found.null["decision"] as? String == "loaded")
        #expect(found.table.error.contains("did you mean 'validate'"), "\(found.table.error)")
    }
}

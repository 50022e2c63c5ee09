import BuildKit
import FoundationEssentials
import TestKit
import Testing

@testable import Driver

@Suite("Drivers of this build", .enabled(if: Tool.nm != nil, "no nm on PATH: symbols cannot be listed"))
struct ExportTests {
    static let folder = TestDrivers.folder
    static let libraries = ((try? FileManager.default.contentsOfDirectory(atPath: TestDrivers.folder)) ?? [])
        .filter { $0.hasPrefix("libbaton-") && $0.hasSuffix(".so") }.sorted()

    @Test("each exports exactly one global symbol, its entry", arguments: libraries)
    func oneSymbol(library: String) throws {
        let nm = try #require(Tool.nm)
        let symbols = try nm.check(["-D", "--defined-only", "\(TestDrivers.folder)/\(library)"]).lines
            .map { $0.split(separator: " ") }
            .filter { $0.count > 1 && $0[$0.count - 2].allSatisfy(\.isUppercase) }
            .compactMap { $0.last.map(String.init) }
        #expect(symbols == ["baton_driver_entry"])
    }

    @Test("each loads, and calls itself what its file does", arguments: libraries)
    func loads(library: String) throws {
        let name = String(library.dropFirst(9).dropLast(3))
        let loaded = try TestDrivers.catalog().load(name)
        #expect(loaded.name == name && loaded.abi == ABIRange.host.maximum)
    }

    @Test(
        "the null driver opens a device that does nothing more",
        .enabled(if: TestDrivers.has("null"), "the null driver was not built"))
    func nullDriver() throws {
        let device = try Device(opening: try TestDrivers.catalog().load("null"), label: "n", options: [:])
        try device.checkHealth()
        let refusal = #expect(throws: DriverError.self) { _ = try Buffer(allocating: 16, on: device) }
        #expect(refusal?.code == .unimplemented && refusal?.driver == "null")
    }
}

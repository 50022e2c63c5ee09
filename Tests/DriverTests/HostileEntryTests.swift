import BuildKit
import TestKit
import Testing

@testable import Driver

/// Entries that end their process, in a child: the host names the driver in one line and goes on.
@Suite("Hostile entries", .needsCompiler)
struct HostileEntryTests {
    private func refusal(_ library: String) throws -> DriverError {
        let catalog = Catalogs.make()
        var isolation = TestDrivers.isolation()
        isolation.restart.budget = 0
        let error = try #require(throws: DriverError.self) { try catalog.load(library, isolation: isolation, label: "a") }
        #expect(error.description.contains(library) || error.description.contains("entry"), "\(error)")
        #expect(!error.description.contains("\n") && error.code != .unknown, "\(error)")
        #expect(try !Tool.read("/proc/self/maps").contains(library))
        return error
    }

    @Test("a driver that calls exit at its entry takes its own process down and is refused")
    func exits() throws {
        let folder = try TemporaryFolder()
        _ = try refusal(try SharedLibrary.driver("exits_in_entry", in: folder))
    }

    @Test("an exception that crosses the contract takes the driver's process down and is refused", .enabled(if: Tool.cxx != nil, "no C++ compiler"))
    func throwsAcross() throws {
        let folder = try TemporaryFolder()
        let library = folder.file("libbaton-throws_across.so")
        try #require(Tool.cxx).check(
            ["-std=c++17", "-shared", "-fPIC", "-I", SharedLibrary.headers, "-o", library, "\(SharedLibrary.root)/Tests/Fixtures/drivers/throws_across.cpp"])
        _ = try refusal(library)
    }
}

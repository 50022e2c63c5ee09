import BuildKit
import FoundationEssentials
import Glibc
import Testing

@testable import Driver

/// Files that are and are not drivers, and the report that is kept of them.
@Suite("Loading", .needsCompiler)
struct LoadTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func refusal(_ path: String) throws -> DriverError {
        try #require(throws: DriverError.self) { try Catalogs.make().load(path) }
    }

    @Test("an absolute path and a name in a folder give the same library, loaded once")
    func pathAndName() throws {
        let path = try SharedLibrary.driver("old", in: folder)
        let catalog = Catalogs.make(folders: [folder.path])
        let byName = try catalog.load("old")
        #expect(try catalog.load(path) === byName)
        #expect(try catalog.load("old") === byName)
        #expect(catalog.report.candidates.count == 1)
    }

    @Test("a path outside the search is loaded when asked for by its path")
    func explicitPath() throws {
        let catalog = Catalogs.make()
        let path = try SharedLibrary.driver("old", in: folder)
        let library = try catalog.load(path)
        #expect(try catalog.load(path) === library)
        #expect(catalog.report.candidates.map(\.source) == ["explicit"])
        #expect(try catalog.load("old") === library)
    }

    @Test("a shadowed candidate still loads by its path")
    func shadowedByPath() throws {
        let other = try TemporaryFolder()
        let first = try SharedLibrary.driver("old", in: folder)
        let second = try SharedLibrary.driver("old", in: other)
        let catalog = Catalogs.make(folders: [folder.path, other.path])
        #expect(try catalog.load("old").path == first)
        #expect(try catalog.load(second).path == second)
    }

    @Test("a library that calls itself otherwise is found by its file's name and by its own, and loaded once")
    func ownName() throws {
        let path = try SharedLibrary.build("Tests/Fixtures/drivers/old.c", name: "baton-other", in: folder)
        let catalog = Catalogs.make(folders: [folder.path])
        let library = try catalog.load("other")
        #expect(library.path == path && library.name == "old")
        #expect(try catalog.load("other") === library)
        #expect(try catalog.load("old") === library)
        #expect(catalog.report.candidates.map(\.name) == ["other"])
        #expect(catalog.report.candidates.map(\.ownName) == ["old"])
    }

    @Test("a file's name comes before the name that another library gives itself")
    func fileNameFirst() throws {
        _ = try SharedLibrary.build("Tests/Fixtures/drivers/old.c", name: "baton-another", in: folder)
        let path = try SharedLibrary.driver("old", in: folder)
        let catalog = Catalogs.make(folders: [folder.path])
        let other = try catalog.load("another")
        #expect(try catalog.load("old").path == path)
        #expect(try catalog.load("another") === other)
    }

    @Test("a missing file is refused in the system's own words")
    func missing() throws {
        let path = folder.file("libbaton-gone.so")
        let error = try refusal(path)
        #expect(error.code == .notFound && error.driver == path)
        #expect(error.detail == "the file cannot be read: No such file or directory; nothing was loaded")
    }

    @Test("a library that needs one which is not there is refused in the dynamic linker's own words, by its own path")
    func missingNeed() throws {
        let needed = try SharedLibrary.build("Tests/Fixtures/foreign/widths.c", name: "absent", in: folder)
        let path = try SharedLibrary.build(
            "Tests/Fixtures/drivers/old.c", name: "baton-old", in: folder, flags: ["-Wl,--no-as-needed", "-L", folder.path, "-labsent"])
        #expect(unlink(needed) == 0)
        let error = try refusal(path)
        #expect(error.code == .unavailable && error.call == "dlopen")
        #expect(error.detail.contains("libabsent.so") && !error.detail.contains("/proc/"))
    }

    @Test("a library finds another beside it, unless a hash or a signature is required, which would not cover it")
    func beside() throws {
        _ = try SharedLibrary.build("Tests/Fixtures/foreign/widths.c", name: "needed", in: folder)
        let path = try SharedLibrary.build(
            "Tests/Fixtures/drivers/old.c", name: "baton-old", in: folder,
            flags: ["-Wl,--no-as-needed", "-L", folder.path, "-lneeded", "-Wl,-rpath,$ORIGIN"])
        #expect(try Catalogs.make().load(path).name == "old")
    }

    @Test("what was refused stays refused, with the first reason")
    func refusedTwice() throws {
        let path = try folder.write("", to: "libbaton-empty.so")
        let catalog = Catalogs.make(folders: [folder.path])
        let first = #expect(throws: DriverError.self) { try catalog.load("empty") }
        let second = #expect(throws: DriverError.self) { try catalog.load(path) }
        #expect(try second?.detail.contains(#require(first?.description)) == true)
        #expect(catalog.report.candidates.count == 1)
    }

    @Test("the report encodes to JSON with each decision, error and range")
    func report() throws {
        _ = try SharedLibrary.driver("future_major", in: folder)
        _ = try SharedLibrary.driver("old", in: folder)
        try folder.write("", to: "libbaton-unused.so")
        var search = DriverSearch(folders: [folder.path], notes: ["a note"])
        search.disable = ["unused"]
        let catalog = Catalogs.make(search)
        #expect(catalog.loadAll().map(\.name) == ["old"])

        let read = try JSONDecoder().decode(Report.self, from: JSONEncoder().encode(catalog.report))
        #expect(read.searched == [folder.path] && read.notes == ["a note"])
        #expect(read.candidates.map(\.decision) == ["refused", "loaded", "disabled"])
        let (refused, loaded) = (read.candidates[0], read.candidates[1])
        #expect(refused.error?.contains("2.0..2.3") == true && refused.hostABI == "\(ABIRange.host)")
        #expect(refused.driverABI == "2.0..2.3")
        #expect(loaded.driverABI == "1.0..1.0" && loaded.abi == "1.0" && loaded.error == nil)
        #expect(loaded.sha256?.count == 64 && loaded.vendor == "Baton tests" && loaded.version == "1.0.0")
    }

    /// What a reader of `baton drivers --json` expects.
    private struct Report: Decodable {
        struct Candidate: Decodable {
            var name, decision, hostABI: String
            var driverABI, abi, error, sha256, vendor, version: String?
        }
        var searched, notes: [String]
        var candidates: [Candidate]
    }
}

import BuildKit
import Testing

@testable import Driver

/// Where drivers are looked for. Files here are never loaded, so that any bytes will do.
@Suite("Driver search")
struct DriverSearchTests {
    let folder: TemporaryFolder
    let other: TemporaryFolder
    private let empty = DriverSearch(folders: [])

    init() throws {
        folder = try TemporaryFolder()
        other = try TemporaryFolder()
    }

    private func decisions(_ search: DriverSearch) -> [String: LoadReport.Candidate.Decision] {
        Dictionary(search.report(hostABI: .host).candidates.map { ($0.name, $0.decision) }) { first, _ in first }
    }

    private func place(_ names: String..., in folder: TemporaryFolder? = nil) throws {
        for name in names { try (folder ?? self.folder).write("", to: "libbaton-\(name).so") }
    }

    @Test("a folder gives libbaton-*.so and *.driver.json, in order of name, and nothing else")
    func folderListing() throws {
        try place("b", "a")
        for name in ["libother.so", "libbaton-a.txt", "notes.json", "libbaton.so"] { try folder.write("{}", to: name) }
        try folder.write(#"{"name": "c", "library": "libbaton-c.so"}"#, to: "c.driver.json")
        let report = DriverSearch(folders: [folder.path]).report(hostABI: .host)
        #expect(report.candidates.map(\.name) == ["c", "a", "b"])
        #expect(report.candidates.allSatisfy { $0.source == "search" && $0.decision == .listed })
        #expect(report.searched == [folder.path])
    }

    @Test("a library that a manifest of its folder describes is listed once")
    func describedOnce() throws {
        try place("a")
        try folder.write(#"{"name": "a", "library": "libbaton-a.so"}"#, to: "a.driver.json")
        let candidates = DriverSearch(folders: [folder.path]).report(hostABI: .host).candidates
        #expect(candidates.count == 1)
        #expect(candidates.first?.manifest == folder.file("a.driver.json") && candidates.first?.path == folder.file("libbaton-a.so"))
    }

    @Test("a second candidate of a name is shadowed, not lost")
    func shadowed() throws {
        try place("a", in: folder)
        try place("a", "b", in: other)
        let report = DriverSearch(folders: [folder.path, other.path]).report(hostABI: .host)
        #expect(report.candidates.map(\.decision) == [.listed, .shadowed, .listed])
        #expect(report.candidates.map(\.path) == [folder.file("libbaton-a.so"), other.file("libbaton-a.so"), other.file("libbaton-b.so")])
    }

    @Test("a folder that is not there gives no candidates and no failure")
    func missingFolder() {
        #expect(DriverSearch(folders: [folder.file("nowhere")]).report(hostABI: .host).candidates.isEmpty)
    }

    @Test("BATON_DRIVER_FILES replaces the folders")
    func replaces() throws {
        try place("a", in: folder)
        try place("b", in: other)
        let search = DriverSearch(folders: [folder.path])
            .changed(by: ["BATON_DRIVER_FILES": other.file("libbaton-b.so")], elevated: false)
        let report = search.report(hostABI: .host)
        #expect(report.candidates.map(\.name) == ["b"])
        #expect(report.candidates.map(\.source) == ["BATON_DRIVER_FILES"])
        #expect(report.searched.isEmpty)
    }

    @Test("BATON_ADD_DRIVER_FILES comes before the folders, and shadows them")
    func adds() throws {
        try place("a", "c", in: folder)
        try place("a", "b", in: other)
        let files = "\(other.file("libbaton-b.so")):\(other.file("libbaton-a.so"))"
        let report = DriverSearch(folders: [folder.path])
            .changed(by: ["BATON_ADD_DRIVER_FILES": files], elevated: false).report(hostABI: .host)
        #expect(report.candidates.map(\.name) == ["b", "a", "a", "c"])
        #expect(report.candidates.map(\.decision) == [.listed, .listed, .shadowed, .listed])
        #expect(report.candidates[0].source == "BATON_ADD_DRIVER_FILES" && report.candidates[3].source == "search")
    }

    @Test("BATON_DRIVERS_SELECT keeps what its globs match, and BATON_DRIVERS_DISABLE wins over it")
    func globs() throws {
        try place("cpu", "cs3", "null", "trainium3")
        let all = DriverSearch(folders: [folder.path])
        #expect(decisions(all.changed(by: ["BATON_DRIVERS_SELECT": "c*,null"], elevated: false))
            == ["cpu": .listed, "cs3": .listed, "null": .listed, "trainium3": .disabled])
        #expect(decisions(all.changed(by: ["BATON_DRIVERS_DISABLE": "cs?"], elevated: false))
            == ["cpu": .listed, "cs3": .disabled, "null": .listed, "trainium3": .listed])
        #expect(decisions(all.changed(by: ["BATON_DRIVERS_SELECT": "c*", "BATON_DRIVERS_DISABLE": "*3"], elevated: false))
            == ["cpu": .listed, "cs3": .disabled, "null": .disabled, "trainium3": .disabled])
    }

    @Test("a disabled driver is refused by name with the variables to look at")
    func disabledByName() throws {
        try place("cs3")
        var search = DriverSearch(folders: [folder.path])
        search.disable = ["cs3"]
        let error = #expect(throws: DriverError.self) { try Catalogs.make(search).load("cs3") }
        #expect(error?.code == .notFound)
        #expect(error?.detail.contains("BATON_DRIVERS_SELECT or BATON_DRIVERS_DISABLE") == true)
    }

    @Test("an empty variable is as good as none")
    func emptyVariables() throws {
        try place("a")
        let names = ["BATON_DRIVER_FILES", "BATON_ADD_DRIVER_FILES", "BATON_DRIVERS_SELECT", "BATON_DRIVERS_DISABLE"]
        let search = DriverSearch(folders: [folder.path]).changed(by: Dictionary(uniqueKeysWithValues: names.map { ($0, "") }), elevated: false)
        #expect(decisions(search) == ["a": .listed])
    }

    @Test("an elevated process ignores every variable and notes each that was set")
    func elevated() throws {
        try place("a")
        let environment = [
            "BATON_DRIVER_FILES": "/evil/libbaton-a.so", "BATON_ADD_DRIVER_FILES": "/evil/libbaton-b.so", "BATON_DRIVERS_SELECT": "b",
            "BATON_DRIVERS_DISABLE": "a",
        ]
        let report = DriverSearch(folders: [folder.path]).changed(by: environment, elevated: true).report(hostABI: .host)
        #expect(report.candidates.map(\.path) == [folder.file("libbaton-a.so")])
        #expect(report.candidates.map(\.decision) == [.listed])
        #expect(report.notes.count == 4 && report.notes.allSatisfy { $0.contains("is ignored") && $0.hasPrefix("BATON_") })
    }

    @Test("relative paths of the environment are refused and say so", arguments: ["libbaton-a.so", "./libbaton-a.so", "../x/a.driver.json"])
    func relativeFiles(path: String) {
        for variable in ["BATON_DRIVER_FILES", "BATON_ADD_DRIVER_FILES"] {
            let candidates = empty.changed(by: [variable: path], elevated: false).report(hostABI: .host).candidates
            #expect(candidates.map(\.decision) == [.refused])
            #expect(candidates.first?.error?.contains("not absolute; the current directory is never searched") == true)
        }
    }

    @Test("a relative path is refused when asked for, and a bare file name is a name and not a path")
    func relativeAsked() {
        let catalog = Catalogs.make()
        let relative = #expect(throws: DriverError.self) { try catalog.load("./libbaton-null.so") }
        #expect(relative?.code == .invalidArgument && relative?.detail.contains("not absolute") == true)
        let bare = #expect(throws: DriverError.self) { try catalog.load("libbaton-null.so") }
        #expect(bare?.code == .notFound)
        #expect(catalog.report.candidates.isEmpty)
    }

    @Test("the current directory is never searched: every standard folder is absolute, and a relative folder gives nothing that loads")
    func noCurrentDirectory() {
        #expect(DriverSearch.standard().folders.allSatisfy { $0.hasPrefix("/") })
        let relative = DriverSearch(folders: [".", "Tests", ""]).report(hostABI: .host).candidates
        #expect(relative.allSatisfy { $0.decision == .refused })
    }

    @Test("a name nobody has is refused with the names there are")
    func unknownName() throws {
        try place("cpu", "null")
        let error = #expect(throws: DriverError.self) { try Catalogs.make(folders: [folder.path]).load("cpo") }
        #expect(error?.code == .notFound && error?.detail.contains("found: cpu, null") == true)
    }
}

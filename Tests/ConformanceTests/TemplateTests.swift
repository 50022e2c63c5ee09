import BuildKit
import CTemplates
import DriverConformance
import Foundation
import TestKit
import Testing

/// A driver from each template: written by the command, built by its own Makefile, tested by its own tests and by the suite, and run.
@Suite(.serialized, .enabled(if: Tool(named: "make") != nil && Tool.cc != nil && FileManager.default.isExecutableFile(atPath: Conformance.baton), "no make, no C compiler, or nothing is built"))
struct TemplateTests {
    /// Languages, and what builds them.
    private static let languages = ["c": "cc", "cpp": "c++", "rust": "cargo", "swift": "swiftc"].filter { language, tool in
        Tool(named: tool) != nil && (0..<ctemplates_count()).contains { String(cString: ctemplates_at($0).pointee.language) == language && String(cString: ctemplates_at($0).pointee.path) == "Makefile" }
    }.keys.sorted()

    private struct Folder {
        var path: String
        init() { path = NSTemporaryDirectory() + "baton-new-\(UUID().uuidString)" }
        func remove() { try? FileManager.default.removeItem(atPath: path) }
    }

    @Test("a driver from each template builds by itself, passes its own tests and the whole suite, and gives the reference's text", arguments: languages)
    func builds(language: String) throws {
        let folder = Folder()
        defer { folder.remove() }
        let baton = Tool(at: Conformance.baton)
        try baton.check(["driver", "new", "born", "--lang", language, "--out", folder.path])
        let made = try #require(Tool(named: "make")).run(["-C", folder.path, "BATON=\(Conformance.baton)", "test"])
        #expect(made.status == 0, "\(made.text.suffix(3_000))")
        #expect(made.text.contains("unit tests pass") && made.text.contains("libbaton-born.so: \(Rule.all.count) pass"), "\(made.text.suffix(1_500))")
        guard TestModel.path != nil else { return }
        let run = try baton.check(
            ["run", folder.path + "/manifest.yaml", "--prompt", "What is gravity? Answer in one sentence.", "--max-tokens", "12", "--temperature", "0"])
        #expect(run.text.contains("Gravity is a fundamental concept in physics that describes"), "\(run.text)")
    }

    @Test("a name that is none, and a folder that is there, are refused in one line")
    func refusals() throws {
        let folder = Folder()
        defer { folder.remove() }
        let baton = Tool(at: Conformance.baton)
        #expect(try baton.run(["driver", "new", "Not A Name", "--out", folder.path]).status == 64)
        #expect(try baton.run(["driver", "new", "9lives", "--out", folder.path]).status == 64)
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let there = try baton.run(["driver", "new", "acme", "--out", folder.path])
        #expect(there.status == 2 && there.lines.count == 1 && there.text.contains("is there already"))
    }

    @Test("every template, header and source that a driver's folder needs is embedded as it is: else run Sources/CTemplates/embed.py")
    func embedded() throws {
        let root = SharedLibrary.root
        var kept: Set<Data> = []
        for index in 0..<ctemplates_count() {
            let file = ctemplates_at(index).pointee
            kept.insert(Data(bytes: file.bytes, count: Int(file.length)))
        }
        for folder in ["include", "Sources/CTemplates/kit", "Sources/DriverKit"] {
            let names = FileManager.default.enumerator(atPath: "\(root)/\(folder)")?.compactMap { $0 as? String } ?? []
            for name in names where !name.hasPrefix("DeviceModel") && !name.hasPrefix("DriverKit.docc") {
                var isFolder: ObjCBool = false
                let path = "\(root)/\(folder)/\(name)"
                guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue else { continue }
                #expect(kept.contains(try Data(contentsOf: URL(filePath: path))), "\(folder)/\(name) is not embedded")
            }
        }
    }
}

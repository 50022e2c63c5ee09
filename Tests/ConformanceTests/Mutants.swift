import BuildKit
import DriverConformance
import TestKit

/// The broken drivers of Tests/Fixtures/mutants: the template in C with its tables wrapped, one file for each defect.
struct Mutants {
    /// Each defect's number: the rule's own, or with hundreds before it for a second way to break it.
    static let all: [Int] = (Rule.all.map(\.number) + [115, 137, 139, 157, 159, 160, 168, 257]).sorted()
    private static let templates = "Sources/CTemplates/kit/c"
    let folder: TemporaryFolder

    /// The rule a defect breaks.
    static func rule(_ defect: Int) -> String { "D\(defect % 100)" }

    /// Builds the driver, the one with a second symbol, and the one without a note.
    init() throws {
        folder = try TemporaryFolder()
        try build("whole", [], map: "\(SharedLibrary.headers)/baton/driver.map")
        let map = try folder.write("{ global: baton_driver_entry; baton_second_symbol; local: *; };\n", to: "second.map")
        try build("second", ["-DSECOND_SYMBOL"], map: map)
        try build("bare", ["-U__ELF__"], map: "\(SharedLibrary.headers)/baton/driver.map")
    }

    private func build(_ name: String, _ flags: [String], map: String) throws(ToolError) {
        guard let cc = Tool.cc else { throw ToolError("no C compiler on PATH") }
        let root = SharedLibrary.root
        let sources = ["batch", "buffer", "cost", "device", "driver", "kv", "operations", "program", "queue", "timeline"].map { "\(root)/\(Self.templates)/\($0).c" }
        try cc.check(
            ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden", "-I", SharedLibrary.headers, "-I", "\(root)/\(Self.templates)"]
                + flags + ["-DDRIVER_NAME=\"mutant\"", "-Dbaton_driver_entry=good_entry", "-o", folder.file("\(name).so")] + sources
                + ["\(root)/Tests/Fixtures/mutants/mutant.c", "-Wl,--wrap=operate", "-Wl,--version-script=\(map)", "-Wl,-z,defs", "-lm", "-lpthread", "-ldl"])
    }

    /// The library with this defect; 0 is the good driver.
    func library(_ defect: Int) throws(ToolError) -> String {
        // A link would be the same library to the loader, and its first name would name the defect of all.
        guard let copy = Tool(named: "cp") else { throw ToolError("no cp on PATH") }
        let path = folder.file("libbaton-mutant-d\(defect).so")
        try copy.check([folder.file([3: "second.so", 168: "bare.so"][defect] ?? "whole.so"), path])
        return path
    }
}

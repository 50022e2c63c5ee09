import BuildKit
import CDriver
import Testing

/// The headers of the contract, as whoever copies `include/` meets them.
@Suite("Headers")
struct HeaderTests {
    static let names = ["status", "note", "driver", "device", "buffer", "event", "program", "kv", "cost", "baton"]

    @Test("each header compiles alone as C11 and pedantically", .enabled(if: Tool.cc != nil, "no C compiler on PATH"), arguments: names)
    func c11(name: String) throws {
        try compile(name, with: try #require(Tool.cc), suffix: "c", standard: "-std=c11")
    }

    @Test("each header compiles alone as C++17 and pedantically", .enabled(if: Tool.cxx != nil, "no C++ compiler on PATH"), arguments: names)
    func cxx17(name: String) throws {
        try compile(name, with: try #require(Tool.cxx), suffix: "cpp", standard: "-std=c++17")
    }

    private func compile(_ name: String, with compiler: Tool, suffix: String, standard: String) throws {
        let folder = try TemporaryFolder()
        // Twice: a header guards itself.
        let source = try folder.write("#include \"baton/\(name).h\"\n#include \"baton/\(name).h\"\nint main(void) { return 0; }\n", to: "alone.\(suffix)")
        try compiler.check([standard, "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", SharedLibrary.headers, source])
    }

    @Test("the headers use no bitfield, union, long or variable arguments", arguments: names)
    func plainC(name: String) throws {
        let code = try Self.code(of: "include/baton/\(name).h")
        let words = Set(code.split { !$0.isLetter && !$0.isNumber && $0 != "_" }.map(String.init))
        for word in ["union", "long", "short", "unsigned", "bool", "_Bool", "size_t", "va_list", "wchar_t", "time_t"] {
            #expect(!words.contains(word), "\(name).h uses \(word)")
        }
        #expect(!code.contains("..."), "\(name).h has variable arguments")
        // The contract has no use for a colon: it could only be a bitfield.
        #expect(!code.contains(":"), "\(name).h has a bitfield")
    }

    @Test("the changelog has a line for the current minor version")
    func changelog() throws {
        let version = "**\(BATON_ABI_MAJOR).\(BATON_ABI_MINOR)**"
        let lines = try Tool.read("\(SharedLibrary.root)/include/CHANGELOG.md").split(separator: "\n")
        #expect(lines.filter { $0.hasPrefix("- \(version) ") && $0.count > version.count + 3 }.count == 1, "no line for \(version)")
        let entries = lines.filter { $0.hasPrefix("- **") }
        #expect(entries.last?.contains(version) == true, "the newest line is not \(version)")
    }

    @Test("every function of the contract says since when it is there")
    func since() throws {
        for name in Self.names {
            let text = try Tool.read("\(SharedLibrary.root)/include/baton/\(name).h")
            let functions = text.split(separator: "\n").filter { $0.hasPrefix("  ") && $0.contains("(*") && !$0.contains("(*progress)") }
            let marks = text.split(separator: "\n").filter { $0.contains("Since: ") && $0.hasPrefix("  ///") }
            #expect(marks.count == functions.count, "\(name).h: \(functions.count) functions, \(marks.count) marked")
        }
    }

    /// A C file without its comments and the text of its strings.
    static func code(of path: String) throws -> String {
        try Tool.read("\(SharedLibrary.root)/\(path)").split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let code = line.firstRange(of: "//").map { line[..<$0.lowerBound] } ?? line
            return code.split(separator: "\"", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 0 }.map { String($0.element) }
                .joined(separator: " ")
        }.joined(separator: "\n")
    }
}

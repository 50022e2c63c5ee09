import BuildKit
import Testing

/// The lock itself: `layout.c` is checked by every build, and these see that it leaves nothing out.
@Suite("Layout")
struct LayoutTests {
    /// One `SIZE` or `FIELD` line.
    struct Line {
        var kind: String
        var words: [String]
    }

    static func lines() throws -> [Line] {
        try HeaderTests.code(of: "Sources/CDriver/layout.c").split(separator: "\n").compactMap { line in
            guard !line.hasPrefix("#"), line.hasSuffix(");"), let open = line.firstIndex(of: "(") else { return nil }
            let inside = line[line.index(after: open)...].dropLast(2)
            return Line(kind: String(line[..<open]), words: inside.split(separator: ",").map { String($0.filter { $0 != " " }) })
        }
    }

    @Test("the fields of every struct follow one another without a gap to its end")
    func tiles() throws {
        var sizes: [String: Int] = [:]
        var ends: [String: Int] = [:]
        for line in try Self.lines() {
            if line.kind == "SIZE" { sizes[line.words[0]] = Int(line.words[1]) }
            guard line.kind == "FIELD" else { continue }
            let (type, first, bytes) = (line.words[0], try #require(Int(line.words[2])), try #require(Int(line.words[3])))
            #expect(first == ends[type, default: 0], "\(type).\(line.words[1])")
            ends[type] = first + bytes
        }
        #expect(ends.count > 25)
        for (type, end) in ends { #expect(sizes[type] == end, "\(type)") }
    }

    @Test("every struct and enumerator of the headers is locked")
    func complete() throws {
        let lines = try Self.lines()
        let structs = Set(lines.filter { $0.kind == "FIELD" }.map(\.words[0]))
        let values = Set(lines.filter { $0.kind == "VALUE" }.map(\.words[0]))
        let scalars = Set(lines.filter { $0.kind == "SCALAR" }.map(\.words[0]))
        for name in HeaderTests.names {
            let code = try HeaderTests.code(of: "include/baton/\(name).h")
            for line in code.split(separator: "\n") {
                let words = line.split { !$0.isLetter && !$0.isNumber && $0 != "_" }.map(String.init)
                if line.hasSuffix("{"), let at = words.firstIndex(of: "struct") { expect(words[at + 1], in: structs) }
                if words.first == "typedef", words.count == 3, words[1].hasSuffix("int32_t") { expect(words[2], in: scalars) }
                for (index, word) in words.enumerated() where word.hasPrefix("BATON_") && index + 1 < words.count {
                    guard Int(words[index + 1]) != nil, line.contains("\(word) = ") else { continue }
                    expect(word, in: values)
                }
            }
        }
    }

    private func expect(_ name: String, in locked: Set<String>) {
        let isLocked = locked.contains(name)
        #expect(isLocked, "layout.c has no line for \(name)")
    }

    @Test("the lock stands in the order of the headers")
    func order() throws {
        let lock = try Tool.read("\(SharedLibrary.root)/Sources/CDriver/layout.c").split(separator: "\n")
        let found = lock.compactMap { line in HeaderTests.names.first { line == "// \($0).h" } }
        #expect(found == ["status", "note", "driver", "device", "buffer", "event", "program", "kv", "cost"])
    }
}

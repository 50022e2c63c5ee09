// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Pipeline

@Suite("Hostile manifests")
struct HostileManifestTests {
    @Test("text that is not YAML is refused in one line with its place")
    func malformed() {
        refuses("baton: 1\nmodel: [a\n", .malformed, at: "3:1", "not YAML or JSON")
        refuses("baton: 1\n\tmodel: a\n", .malformed, at: "2:1", "not YAML or JSON")
        refuses("baton: 1\nmodel: a: b\n", .malformed, at: "2:9", "mapping values are not allowed")
        refuses("{\"baton\": 1,, }", .malformed, at: "1:13")
        refuses("baton: 1\n---\nbaton: 1\n", .malformed, at: "2:1", "another document")
        refuses("baton: 1\nmodel: \"\\q\"\n", .malformed, at: "2:9")
        refuses("baton: 1\nmodel: 'open\n", .malformed, at: "3:1")
        refuses("baton: 1\nmodel: [é", .malformed, at: "2:10")
        refuses("@", .malformed, at: "1:1")
    }

    @Test("an empty manifest is refused", arguments: ["", "\n\n", "# only a comment\n", "---\n", "null", "~", "\u{FEFF}"])
    func empty(_ text: String) { refuses(text, .malformed, at: "1:1", "the manifest is empty") }

    @Test("bytes that are not UTF-8 are refused with their place")
    func notUTF8() {
        refuses(Array("baton: 1\nmodel: é".utf8) + [0xFF], .unreadable, at: "2:9", ["not UTF-8"])
        refuses([0xC3], .unreadable, at: "1:1", ["not UTF-8"])
        refuses([0xFF, 0xFE, 0x62, 0x00], .unreadable, at: "1:1", ["not UTF-8"])
    }

    @Test("control characters are refused with their place")
    func controls() {
        refuses(Array("baton: 1\nmodel: m".utf8) + [0], .malformed, at: "2:9", ["U+0000"])
        refuses("baton: 1\nmodel: \u{7F}", .malformed, at: "2:8", "U+007F")
    }

    @Test("a manifest larger than 1 MiB is refused before it is parsed")
    func large() {
        refuses(String(repeating: "#", count: (1 << 20) + 1), .unreadable, at: "1:1048577", "1048577 bytes", "at most 1048576")
        refuses(String(repeating: "é#\n", count: 1 << 20), .unreadable, at: "262145:1", "at most 1048576")
    }

    @Test("deep nesting, in flow or in blocks, is refused", arguments: [("[", "]", "1:18"), ("{a: ", "}", "1:66"), ("? ", "", "1:35"), ("- ", "", "1:35")])
    func deep(_ level: String, _ end: String, _ place: String) {
        for count in [40, 900, 20000] {
            let text = String(repeating: level, count: count) + String(repeating: end, count: count)
            refuses(text, .malformed, at: count == 40 ? place : nil, "more than 16 levels", "flatter")
            #expect(throws: ManifestError.self) { try graph("baton: 1\nmodel: m\ndevices: " + String(repeating: level, count: count)) }
        }
    }

    @Test("more values than a manifest has are refused")
    func wide() {
        refuses("[" + String(repeating: "1,", count: 30000) + "]", .malformed, at: "1:32768", "more than 16384 values")
    }

    @Test(
        "a megabyte of anything is refused soon", .timeLimit(.minutes(1)),
        arguments: ["1,", "[1]", "k", "\n", "- a\n", "&a "])
    func megabytes(_ piece: String) {
        let start = String(repeating: "[", count: 900)
        let text = start + String(repeating: piece, count: ((1 << 20) - start.utf8.count) / piece.utf8.count)
        #expect(throws: ManifestError.self) { try graph(text) }
    }

    @Test("more commas and brackets than a manifest has are refused where they begin to be too many")
    func marks() {
        refuses("x\n" + String(repeating: "[", count: 65537), .malformed, at: "2:65537", "more than 65536 commas and brackets")
    }

    @Test("directives are refused before they are parsed, however many")
    func directives() {
        refuses("%YAML 1.1\n---\nbaton: 1\n", .malformed, at: "1:1", "a YAML directive")
        refuses("# first\n%TAG !a! b\n" + (0..<60000).map { "%TAG !a\($0)! b\n" }.joined(), .malformed, at: "2:1", "a YAML directive")
    }

    @Test("very many keys are refused soon", .timeLimit(.minutes(1)))
    func manyKeys() {
        let keys = (0..<80000).map { "key\($0): 1\n" }.joined()
        refuses(keys, .malformed, at: "8192:10", "more than 16384 values")
    }

    @Test("anchors and aliases are refused where they stand")
    func aliases() {
        refuses("baton: 1\nmodel: &m a\ndevices: {h: *m}\n", .malformed, at: "2:8", "anchor \"&m\"")
        refuses("baton: 1\nmodel: *m\n", .malformed, at: "2:8", "undefined alias")
    }

    @Test("a pyramid of aliases does not expand, as value or as key")
    func pyramid() {
        var text = "a0: &a0 [x, x]\n"
        for level in 1...40 { text += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1), *a\(level - 1)]\n" }
        refuses(text, .malformed, at: "2:10", "120 YAML aliases")
        refuses(text + "? *a40\n: 1\n", .malformed, at: "2:10", "121 YAML aliases")
        refuses("a: &a [b]\n? *a\n: 1\n", .malformed, at: "1:4", "anchor \"&a\"")
    }

    @Test("a signature's stars are no aliases")
    func stars() throws {
        let stage = "{kind: foreign, at: logits, library: a, signature: 'i32 f(f32 *logits, u64 count, i32 *history, u64 n)'}"
        let text = (0..<8).map { "  g\($0): \(stage)\n" }.joined()
        #expect(try graph(small("stages:\n" + text)).foreign(at: .logits).count == 8)
    }

    @Test("tags, and keys that are not names, are refused")
    func tags() {
        refuses("baton: 1\nmodel: !thing a\n", .malformed, at: "2:8", "\"!thing\"")
        refuses("baton: 1\n[a]: b\n", .malformed, at: "2:1", "a list stands here")
        refuses("baton: 1\n{a: b}: c\n", .malformed, at: "2:1", "a mapping stands here")
        for key in ["1", "-2", "0x10", "1.5", "1e3", "true", "False"] {
            refuses("baton: 1\nmodel: m\ndevices: {\(key): cpu}", .malformed, at: "3:11", "\(key) is a number or flag", "in quotes, as \"\(key)\"")
        }
        refuses("baton: 1\n~: c\n", .malformed, at: "2:1", "nothing stands before")
        refuses("baton: 1\n'': c\n", .malformed, at: "2:1", "nothing stands before")
    }

    @Test("text of the manifest cannot break an error's line")
    func oneLine() {
        refuses("baton: 1\n\"a\\nb\\u2028\\u202e\": 1\n", .unknownKey, at: "2:1", "\"a\\nb\u{FFFD}\u{FFFD}\"")
        refuses("baton: 1\n\(String(repeating: "k", count: 500)): 1\n", .unknownKey, at: "2:1", "kkk...\"")
    }

    @Test("no mutation of a manifest crashes the reader, and every refusal is one line")
    func fuzz() {
        let seeds = [
            PictureTests.guards, two("stages: {prefill: trn, decode: {devices: [wse, trn], split: [10, 20]}}\nhandoff: {deadline: 2s}\n"),
            four("prefill: {replicas: [a, b]}, decode: {replicas: [c, {devices: [a, d], split: [10, 20]}]}"),
            "{\"baton\": 1, \"model\": \"m\", \"devices\": {\"h\": {\"driver\": \"cpu\", \"options\": {\"a\": 1}}}, \"sampling\": {\"top_p\": 0.5}}",
        ]
        var random = SplitMix(state: 20)
        let pieces = [":", "- ", "[", "]", "{", "}", "\"", "'", "&a ", "*a", "? ", "!", "|", ">", "\n", "  ", ",", "#", "~", "\t", "---\n", "é", "9", "\\"]
        for round in 0..<4000 {
            var bytes = Array(seeds[round % seeds.count].utf8)
            for _ in 0...Int(random.next() % 4) { mutate(&bytes, &random, pieces) }
            do throws(ManifestError) {
                let picture = GraphPicture(try Graph(proving: Manifest(bytes: bytes, file: "m")))
                #expect(!picture.svg().isEmpty && !picture.dot.isEmpty)
            } catch {
                #expect(error.description.split(omittingEmptySubsequences: false) { $0.isNewline }.count == 1)
            }
        }
    }

    private func mutate(_ bytes: inout [UInt8], _ random: inout SplitMix, _ pieces: [String]) {
        let place = Int(random.next() % UInt64(max(bytes.count, 1)))
        guard place < bytes.count else { return }
        switch random.next() % 5 {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(contentsOf: Array(pieces[Int(random.next() % UInt64(pieces.count))].utf8), at: place)
        case 3: bytes.removeSubrange(place..<min(bytes.count, place + Int(random.next() % 40)))
        default:
            let end = min(bytes.count, place + Int(random.next() % 40))
            bytes.insert(contentsOf: Array(bytes[place..<end]), at: Int(random.next() % UInt64(bytes.count)))
        }
    }
}

/// A small generator that is the same everywhere.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

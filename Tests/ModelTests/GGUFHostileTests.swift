// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Model

@Suite("Hostile and damaged GGUF files")
struct GGUFHostileTests {
    /// All value types and a few tensors, small enough to damage at every place.
    private static var small: GGUFWriter {
        var writer = GGUFWriter()
        writer.set("general.architecture", .string("llama"))
        writer.set("n", .uint32(4))
        writer.set("words", .strings(["a", "bc", "def"]))
        writer.set("nested", .raw(type: 9, le(UInt32(9)) + le(UInt64(2)) + inner(1) + inner(2)))
        writer.set("flag", .bool(1))
        writer.add("a", [32, 2], .q4_1)
        writer.add("b", [7])
        writer.add("c", [32], .q8_0)
        return writer
    }

    private static func inner(_ value: UInt32) -> [UInt8] { le(UInt32(4)) + le(UInt64(1)) + le(value) }

    private func open(_ bytes: [UInt8]) throws(ModelError) { _ = try GGUFFile(bytes: bytes, name: "m.gguf") }

    @Test("a file cut at any byte is refused with one line")
    func truncation() throws {
        let bytes = Self.small.bytes
        try open(bytes)
        for length in 0..<bytes.count {
            expect("m.gguf") { () throws(ModelError) in try open(Array(bytes[..<length])) }
        }
    }

    @Test("flipping any single bit before the tensor data is refused or harmless")
    func bitFlips() throws {
        var bytes = Self.small.bytes
        for position in 0..<Self.small.head.count {
            for bit in 0..<8 {
                bytes[position] ^= 1 << bit
                exercise(bytes)
                bytes[position] ^= 1 << bit
            }
        }
    }

    @Test("flipping any single bit of a whole model's metadata is refused or harmless")
    func modelBitFlips() throws {
        let writer = GGUFWriter.llama()
        var bytes = writer.bytes
        for position in 0..<writer.head.count {
            let bit = UInt8(position % 8)
            bytes[position] ^= 1 << bit
            exercise(bytes)
            bytes[position] ^= 1 << bit
        }
    }

    @Test("seeded mutations of a model never crash, hang or allocate without bound")
    func mutations() {
        var random = Seeded(state: 20_251_123)
        let original = GGUFWriter.llama().bytes, head = GGUFWriter.llama().head.count
        for _ in 0..<4_000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...6, using: &random) { mutate(&bytes, below: head, &random) }
            exercise(bytes)
        }
    }

    private func mutate(_ bytes: inout [UInt8], below head: Int, _ random: inout Seeded) {
        guard bytes.count > 16 else { return }
        let place = Int.random(in: 0..<min(head, bytes.count - 8), using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.replaceSubrange(place..<place + 8, with: le([UInt64.max, 1 << 63, 1 << 32, 0].randomElement(using: &random) ?? 0))
        case 2: bytes.removeSubrange(place..<place + Int.random(in: 1...8, using: &random))
        case 3: bytes.insert(contentsOf: le(random.next()), at: place)
        default: bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
        }
    }

    /// Opens the bytes and, when that succeeds, reads all that can be read.
    private func exercise(_ bytes: [UInt8]) {
        do throws(ModelError) {
            let file = try GGUFFile(bytes: bytes, name: "m.gguf")
            for key in file.keys { readAll(file, key) }
            for tensor in file.tensors { file.withBytes(of: tensor) { #expect($0.count == tensor.byteCount) } }
            let model = try ModelFile(file: file)
            _ = try ModelSummary(model)
        } catch {
            let line = error.description
            if line.contains(where: \.isNewline) || line.count > 8_000 { Issue.record("not one line: \(line)") }
        }
    }

    private func readAll(_ file: GGUFFile, _ key: String) {
        _ = try? file.string(key)
        _ = try? file.uint(key)
        _ = try? file.float(key)
        _ = try? file.bool(key)
        _ = try? file.strings(key)
        _ = try? file.int32s(key)
        _ = try? file.floats(key)
    }

    @Test("counts that the file cannot hold are refused before anything is allocated", arguments: [UInt64.max, 1 << 63, 1 << 40, 1_000])
    func counts(_ count: UInt64) {
        var writer = Self.small
        writer.tensorCount = count
        expect("tensor count", "\(count)") { () throws(ModelError) in try open(writer.bytes) }
        writer = Self.small
        writer.keyCount = count
        expect("key count", "\(count)") { () throws(ModelError) in try open(writer.bytes) }
    }

    @Test("lengths of strings and arrays that overflow are refused", arguments: [UInt64.max, UInt64.max - 7, 1 << 62, 1 << 61])
    func lengths(_ length: UInt64) {
        for (type, element) in [(UInt32(8), UInt32?.none), (9, 8), (9, 4), (9, 10), (9, 9), (9, 0)] {
            var writer = GGUFWriter()
            writer.add("x", [1])
            writer.set("hostile", .raw(type: type, (element.map { le($0) } ?? []) + le(length)))
            expect("m.gguf", "hostile", "\(length)") { () throws(ModelError) in try open(writer.bytes) }
        }
    }

    @Test("arrays nested deeper than four are refused")
    func nesting() {
        var bytes: [UInt8] = []
        for _ in 0..<50_000 { bytes += le(UInt32(9)) + le(UInt64(1)) }
        var writer = GGUFWriter()
        writer.add("x", [1])
        writer.set("deep", .raw(type: 9, bytes))
        expect("deep", "4 deep") { () throws(ModelError) in try open(writer.bytes) }
    }

    @Test("names that could forge lines are escaped, and duplicates are refused")
    func names() {
        var writer = GGUFWriter()
        writer.add("bad\nERROR: all lost", [0])
        expect("bad\\u{a}ERROR") { () throws(ModelError) in try open(writer.bytes) }
        writer.tensors = []
        writer.add("twin", [1])
        writer.add("twin", [1])
        expect("\"twin\"", "twice") { () throws(ModelError) in try open(writer.bytes) }
        writer.tensors.removeLast()
        writer.metadata = [("k", .uint8(1)), ("k", .uint8(2))]
        expect("\"k\"", "twice") { () throws(ModelError) in try open(writer.bytes) }
        writer.metadata = [("k", .raw(type: 13, [0]))]
        expect("\"k\"", "value type 13") { () throws(ModelError) in try open(writer.bytes) }
    }

    @Test("tensors with impossible shapes or places are refused by name")
    func places() {
        let cases: [(GGUFWriter.Tensor, String)] = [
            (.init(name: "t", dims: [0], type: 0, offset: nil, byteCount: 4), "zero"),
            (.init(name: "t", dims: [33], type: 8, offset: nil, byteCount: 64), "blocks of Q8_0"),
            (.init(name: "t", dims: [.max, .max], type: 0, offset: nil, byteCount: 4), "63 bits"),
            (.init(name: "t", dims: [1 << 62, 2], type: 0, offset: nil, byteCount: 4), "63 bits"),
            (.init(name: "t", dims: [1 << 61, 1], type: 0, offset: nil, byteCount: 4), "63 bits"),
            (.init(name: "t", dims: [1 << 60], type: 0, offset: nil, byteCount: 4), "file ends"),
            (.init(name: "t", dims: [1], type: 0, offset: 4, byteCount: 4), "alignment"),
            (.init(name: "t", dims: [1], type: 0, offset: .max - 31, byteCount: 4), "file ends"),
            (.init(name: "t", dims: [1], type: 0, offset: 1 << 40, byteCount: 4), "file ends"),
            (.init(name: "t", dims: [1, 1, 1, 1, 1], type: 0, offset: nil, byteCount: 4), "5 dimensions"),
            (.init(name: "t", dims: [], type: 0, offset: nil, byteCount: 16), "0 dimensions"),
        ]
        for (tensor, part) in cases {
            var writer = GGUFWriter()
            writer.tensors = [tensor]
            expect("m.gguf", "\"t\"", part) { () throws(ModelError) in try open(writer.bytes) }
        }
    }

    @Test("tensors that overlap are refused")
    func overlap() {
        var writer = GGUFWriter()
        writer.add("a", [16])
        writer.add("b", [16])
        writer.tensors[1].offset = 32
        expect("\"a\"", "\"b\"", "overlap") { () throws(ModelError) in try open(writer.bytes) }
    }

    @Test("an alignment that is no power of two is refused", arguments: [UInt32(0), 1, 48, 1 << 21, .max])
    func alignment(_ value: UInt32) {
        var writer = Self.small
        writer.set("general.alignment", .uint32(value))
        expect("general.alignment", "\(value)") { () throws(ModelError) in try open(writer.bytes) }
        writer.set("general.alignment", .string("32"))
        expect("general.alignment", "string") { () throws(ModelError) in try open(writer.bytes) }
    }
}

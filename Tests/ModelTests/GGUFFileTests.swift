// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Model

@Suite("Reading GGUF files")
struct GGUFFileTests {
    @Test("every readable tensor type has its bytes, offset and shape")
    func types() throws {
        var writer = GGUFWriter()
        for type in TensorType.allCases { writer.add(type.name, [64, 3], type) }
        let file = try GGUFFile(bytes: writer.bytes, name: "types.gguf")
        #expect(file.tensors.map(\.name) == TensorType.allCases.map(\.name))
        let bytes: [TensorType: Int] = [.f32: 768, .f16: 384, .bf16: 384, .q4_0: 108, .q4_1: 120, .q8_0: 204]
        for tensor in file.tensors {
            #expect(tensor.byteCount == bytes[tensor.type])
            #expect(tensor.shape == [3, 64])
            #expect(tensor.elementCount == 192)
            #expect(tensor.offset % 32 == 0)
            file.withBytes(of: tensor) { #expect($0.count == tensor.byteCount && $0[0] == 0 && $0[5] == 5) }
        }
    }

    @Test("metadata comes back with its types and values")
    func metadata() throws {
        var writer = GGUFWriter()
        writer.add("x", [1])
        writer.set("s", .string("héllo"))
        writer.set("u8", .uint8(7))
        writer.set("i32", .int32(-3))
        writer.set("u64", .uint64(.max))
        writer.set("f32", .float32(0.5))
        writer.set("f64", .float64(0.25))
        writer.set("yes", .bool(1))
        writer.set("words", .strings(["a", "", "ü"]))
        writer.set("ids", .int32s([1, -2, 3]))
        writer.set("scores", .floats([1, 2.5]))
        let file = try GGUFFile(bytes: writer.bytes, name: "m.gguf")
        #expect(file.keys == ["s", "u8", "i32", "u64", "f32", "f64", "yes", "words", "ids", "scores"])
        #expect(try file.string("s") == "héllo")
        #expect(try file.uint("u8") == 7)
        #expect(try file.uint("u64") == .max)
        #expect(try file.float("f32") == 0.5)
        #expect(try file.float("f64") == 0.25)
        #expect(try file.bool("yes"))
        #expect(try file.strings("words") == ["a", "", "ü"])
        #expect(try file.byteStrings("words") == [[97], [], [0xC3, 0xBC]])
        #expect(try file.int32s("ids") == [1, -2, 3])
        #expect(try file.floats("scores") == [1, 2.5])
        #expect(try file.count("words") == 3)
        #expect(try file.stringIfPresent("absent") == nil)
    }

    @Test("a missing key and a key of another type are errors that name file and key")
    func wrongKeys() throws {
        var writer = GGUFWriter()
        writer.add("x", [1])
        writer.set("n", .int32(-3))
        writer.set("flag", .bool(2))
        writer.set("bad", .bytes([0xFF, 0xFE]))
        writer.set("big", .raw(type: 9, le(UInt32(10)) + le(UInt64(1)) + le(UInt64.max)))
        let file = try GGUFFile(bytes: writer.bytes, name: "m.gguf")
        expect("m.gguf", "\"absent\"") { () throws(ModelError) in _ = try file.string("absent") }
        expect("m.gguf", "\"n\"", "string") { () throws(ModelError) in _ = try file.string("n") }
        expect("\"n\"", "-3") { () throws(ModelError) in _ = try file.uint("n") }
        expect("\"flag\"", "byte 2") { () throws(ModelError) in _ = try file.bool("flag") }
        expect("\"bad\"", "UTF-8") { () throws(ModelError) in _ = try file.string("bad") }
        expect("\"big\"", "32 bits") { () throws(ModelError) in _ = try file.int32s("big") }
        expect("\"big\"", "array of strings") { () throws(ModelError) in _ = try file.strings("big") }
    }

    @Test("the alignment key moves the tensor data")
    func alignment() throws {
        var writer = GGUFWriter()
        writer.alignment = 256
        writer.set("general.alignment", .uint32(256))
        writer.add("a", [1])
        writer.add("b", [1])
        let file = try GGUFFile(bytes: writer.bytes, name: "m.gguf")
        #expect(file.tensors.map(\.offset) == [256, 512])
    }

    @Test("version 2 reads as version 3 does, others are refused by number", arguments: [UInt32(0), 1, 4, 0x0300_0000, .max])
    func versions(_ version: UInt32) throws {
        var writer = GGUFWriter()
        writer.add("x", [1])
        writer.version = 2
        #expect(try GGUFFile(bytes: writer.bytes, name: "m.gguf").version == 2)
        writer.version = version
        expect("m.gguf", version == 0x0300_0000 ? "big-endian" : "version \(version)") { () throws(ModelError) in
            _ = try GGUFFile(bytes: writer.bytes, name: "m.gguf")
        }
    }

    @Test("what is not GGUF is refused with what it looks like")
    func magic() {
        let cases: [(String, String)] = [
            ("PK\u{3}\u{4} and more", "zip"), ("version https://git-lfs.github.com/spec/v1", "LFS"), ("<!DOCTYPE html>", "web page"),
            ("plain text", "70 6c 61 69"), ("FUGG....", "big-endian"),
        ]
        for (text, hint) in cases {
            expect("x.gguf", hint) { () throws(ModelError) in _ = try GGUFFile(bytes: Array(text.utf8), name: "x.gguf") }
        }
    }

    @Test(
        "a tensor type that is not read is named, with the tensor and the types that are",
        arguments: [(14, "Q6_K"), (12, "Q4_K"), (999, "999")])
    func tensorType(_ id: UInt32, _ name: String) {
        var writer = GGUFWriter()
        writer.tensors = [.init(name: "blk.0.attn_q.weight", dims: [256], type: id, offset: nil, byteCount: 210)]
        expect("m.gguf", "blk.0.attn_q.weight", name, "Q8_0") { () throws(ModelError) in
            _ = try GGUFFile(bytes: writer.bytes, name: "m.gguf")
        }
    }

    @Test("a file is mapped from disk, and an absent, empty or special one is refused")
    func disk() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("m.gguf", GGUFWriter.llama().bytes)
        let file = try GGUFFile(path: path)
        #expect(file.tensors.count == 11)
        #expect(UInt(bitPattern: file.unsafeBytes.baseAddress) % 4_096 == 0)
        let read = Array(file.unsafeBytes)
        file.forget()
        #expect(Array(file.unsafeBytes) == read, "what was let go of comes back")
        let empty = try folder.write("empty.gguf", [])
        expect("empty.gguf", "0 bytes") { () throws(ModelError) in _ = try GGUFFile(path: empty) }
        expect("absent.gguf", "cannot open") { () throws(ModelError) in _ = try GGUFFile(path: folder.path + "/absent.gguf") }
        expect("not a regular file") { () throws(ModelError) in _ = try GGUFFile(path: folder.path) }
        expect("not a regular file") { () throws(ModelError) in _ = try GGUFFile(path: "/dev/zero") }
        let pipe = try folder.pipe("pipe.gguf")
        expect("not a regular file") { () throws(ModelError) in _ = try GGUFFile(path: pipe) }
    }
}

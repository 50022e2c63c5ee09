import CDriver
@testable import Driver
import Testing

/// Frames between host and child, without a process: what goes in comes out, and no bytes whatever crash or take more than they state.
struct WireTests {
    @Test("numbers, texts and absence come back as they went")
    func values() throws {
        var writer = WireWriter()
        writer.put(UInt64.max - 3)
        writer.put(Int32(-7))
        writer.put(true)
        writer.put(0.5)
        writer.put("größe")
        writer.put(nil, count: 9)
        var reader = WireReader(writer.bytes)
        #expect(try reader.take() == UInt64.max - 3)
        #expect(try reader.take() == Int32(-7))
        #expect(try reader.takeFlag())
        #expect(try reader.takeDouble() == 0.5)
        #expect(try reader.takeText() == "größe")
        #expect(try reader.takeBytes() == nil)
        try reader.end()
    }

    @Test("a count that the frame has no bytes for is refused", arguments: [6, 1_048_576, 4_294_967_294] as [UInt32])
    func counts(_ count: UInt32) {
        var writer = WireWriter()
        writer.put(count)
        writer.put(UInt32(0))
        #expect(throws: WireError.self) {
            var reader = WireReader(writer.bytes)
            _ = try reader.takeBytes()
        }
    }

    @Test("a path that is none is refused in one short line, whatever is in it", arguments: ["a\n\u{85}b\u{2028}c", String(repeating: "x", count: 60_000)])
    func wrongPath(path: String) throws {
        var writer = WireWriter()
        ChildSetup(path: path, search: DriverSearch(folders: []), workers: 1).put(to: &writer)
        let error = try #require(throws: WireError.self) {
            var reader = WireReader(writer.bytes)
            _ = try ChildSetup(from: &reader)
        }
        #expect(!error.description.contains(where: \.isNewline) && error.description.utf8.count < 1_000)
    }

    @Test("a setup comes back as it went, and any part of it is refused")
    func setup() throws {
        let search = DriverSearch(folders: ["/a", "/b"], files: ["/c/libbaton-x.so"], added: ["/d"], select: ["x*"], disable: ["y"])
        let setup = ChildSetup(path: "/a/libbaton-x.so", search: search, workers: 3, givesWay: true, memoryBytes: 9, processors: 2, processorSeconds: 4)
        var writer = WireWriter()
        setup.put(to: &writer)
        var reader = WireReader(writer.bytes)
        let back = try ChildSetup(from: &reader)
        #expect(back.path == setup.path && back.search.files == search.files && back.search.select == search.select && back.workers == 3)
        #expect(back.memoryBytes == 9 && back.processors == 2 && back.processorSeconds == 4 && back.isFenced && back.givesWay)
        for count in 0..<writer.bytes.count {
            #expect(throws: WireError.self) {
                var part = WireReader(Array(writer.bytes[..<count]))
                _ = try ChildSetup(from: &part)
            }
        }
    }

    @Test("a batch comes back as it went")
    func batch() throws {
        let (tokens, positions, sequences, tables): ([UInt32], [UInt32], [UInt32], [UInt32]) = ([5, 6, 7], [0, 1, 2], [0, 0, 0], [9, 4])
        var raw = baton_batch.sized()
        (raw.token_count, raw.sequence_count, raw.block_table_stride, raw.tag) = (3, 1, 2, 77)
        var writer = WireWriter()
        try tokens.withUnsafeBufferPointer { tokens in
            try positions.withUnsafeBufferPointer { positions in
                try sequences.withUnsafeBufferPointer { sequences in
                    try tables.withUnsafeBufferPointer { tables in
                        (raw.tokens, raw.positions) = (tokens.baseAddress, positions.baseAddress)
                        (raw.sequences, raw.block_tables) = (sequences.baseAddress, tables.baseAddress)
                        try writer.put(batch: &raw) { _ throws(DriverError) in 3 }
                    }
                }
            }
        }
        var reader = WireReader(writer.bytes)
        let arena = Arena()
        let back = try #require(try reader.takeBatch(in: arena) { id throws(WireError) in OpaquePointer(bitPattern: UInt(id) * 16) })
        #expect(Array(UnsafeBufferPointer(start: back.pointee.tokens, count: 3)) == tokens)
        #expect(Array(UnsafeBufferPointer(start: back.pointee.block_tables, count: 2)) == tables)
        #expect(back.pointee.rows == nil && back.pointee.tag == 77 && back.pointee.pool == OpaquePointer(bitPattern: 48))
        try reader.end()
    }

    @Test("a batch that states more entries than a number holds is refused")
    func hugeBatch() {
        var raw = baton_batch.sized()
        (raw.sequence_count, raw.block_table_stride) = (.max, .max)
        var writer = WireWriter()
        writer.put(struct: &raw)
        for _ in 0..<3 { writer.put(Wire.absent) }
        writer.put(UInt32(4))
        writer.put(UInt32(7))
        #expect(throws: WireError.self) {
            var reader = WireReader(writer.bytes)
            _ = try reader.takeBatch(in: Arena()) { _ throws(WireError) in nil }
        }
    }

    @Test("no bytes whatever crash a reader: a setup, an entry, a program, a batch, a sync, an info, options")
    func anyBytes() {
        var dice = Dice(17)
        for round in 0..<20_000 {
            var bytes = dice.bytes(dice.below(300))
            // Small numbers get further in than large ones.
            for index in bytes.indices where round % 3 != 0 && dice.below(3) > 0 { bytes[index] = UInt8(dice.below(4)) }
            try? WireFrame.allCases[round % WireFrame.allCases.count].read(bytes)
        }
    }
}

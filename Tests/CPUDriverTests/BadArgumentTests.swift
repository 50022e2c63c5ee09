import CDriver
import Glibc
import Testing

@testable import Driver

/// What is wrong is refused in one line, and the device works on.
@Suite("The cpu driver refuses", .enabled(if: Rig.isBuilt, "no cpu driver"))
struct BadArgumentTests {
    private let prompt = Rig.Piece(tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9], blocks: [3, 5])

    // MARK: Buffers

    @Test("bytes past the end of a buffer")
    func bufferRange() throws {
        let device = try Rig.open()
        let buffer = try Buffer(allocating: 64, on: device)
        var bytes = [UInt8](repeating: 7, count: 65)
        try bytes.withUnsafeMutableBytes { bytes in
            let some = UnsafeMutableRawBufferPointer(rebasing: bytes[..<8])
            for offset in [57, 64, 65, 1 << 40, .max, -1, .min] {
                refusal(.outOfRange, "buffer of 64 bytes") { try buffer.write(UnsafeRawBufferPointer(some), at: offset) }
                refusal(.outOfRange, "buffer of 64 bytes") { try buffer.read(into: some, at: offset) }
            }
            refusal(.outOfRange) { try buffer.write(UnsafeRawBufferPointer(bytes)) }
            refusal(.outOfRange) { try buffer.read(into: bytes) }
            try buffer.write(UnsafeRawBufferPointer(some), at: 56)
            try buffer.read(into: some, at: 56)
        }
    }

    @Test("a buffer of no bytes, or of more than there are", arguments: [0, -1, Int.min, .max, 1 << 50])
    func allocation(bytes: Int) throws {
        let device = try Rig.open()
        refusal(bytes == 0 ? .invalidArgument : .resourceExhausted) { _ = try Buffer(allocating: bytes, on: device) }
        _ = try Buffer(allocating: 64, on: device)
    }

    @Test("an allocation the machine cannot give, where the option says that it could")
    func allocationBeyondTheMachine() throws {
        let device = try Rig.open(["memory": "1000000000000000"])
        let bytes = 900_000_000_000_000
        for _ in 0..<3 {
            refusal(.resourceExhausted, "no \(bytes) bytes") { _ = try Buffer(allocating: bytes, on: device) }
            var pool = Rig.pool(.f32)
            (pool.blockCount, pool.blockTokens) = (1 << 31, 800)
            refusal(.resourceExhausted, "no ") { _ = try KVPool(creating: pool, on: device) }
        }
    }

    @Test("a buffer of another device's making, gone or null")
    func bufferHandles() throws {
        let device = try Rig.open()
        let table = device.library.buffer
        var status = baton_status.sized
        var byte: UInt8 = 0
        let timeline = try Timeline(on: device)
        var gone: OpaquePointer?
        #expect(table.allocate?(device.handle, 64, &gone, nil) == 0)
        table.release?(device.handle, gone)
        for handle in [nil, gone, timeline.handle, device.handle] {
            #expect(table.read?(device.handle, handle, 0, &byte, 1, &status) == DriverError.Code.invalidArgument.rawValue)
            #expect(status.message_length > 0)
            table.release?(device.handle, handle)
            #expect(table.read?(handle == device.handle ? nil : handle, handle, 0, &byte, 1, &status) != 0)
        }
        #expect(try timeline.query(0).value == 0, "a timeline is not released as a buffer")
        var out: OpaquePointer?
        #expect(table.allocate?(device.handle, 64, nil, &status) == DriverError.Code.invalidArgument.rawValue)
        #expect(table.allocate?(nil, 64, &out, &status) == DriverError.Code.invalidArgument.rawValue)
        #expect(device.library.program.submit?(device.handle, gone, nil, nil, &status) == DriverError.Code.invalidArgument.rawValue)
        #expect(device.library.kv?.copy_blocks?(device.handle, gone, nil, nil, 1, nil, &status) == DriverError.Code.invalidArgument.rawValue)
    }

    @Test("copies past either end")
    func copies() throws {
        let device = try Rig.open()
        let a = try Buffer(allocating: 64, on: device)
        let b = try Buffer(allocating: 32, on: device)
        var status = baton_status.sized
        let copy = try #require(device.library.buffer.copy)
        for (to, from, length) in [(0, 0, 33), (32, 0, 1), (0, 64, 1), (1, 0, 32), (0, 60, 5), (0, 0, .max), (.max, 0, 2)] as [(UInt64, UInt64, UInt64)] {
            #expect(copy(device.handle, b.handle, to, device.handle, a.handle, from, length, nil, &status) == DriverError.Code.outOfRange.rawValue)
        }
        #expect(copy(device.handle, b.handle, 0, device.handle, a.handle, 32, 32, nil, &status) == 0)
    }

    @Test("writing, and logits, into memory that was given for reading")
    func readOnlyMemory() throws {
        let rig = try Rig()
        let mapped = try #require(mmap(nil, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
        defer { munmap(mapped, 65536) }
        let buffer = try Buffer(importing: .host(mapped, count: 65536), writable: false, on: rig.device)
        refusal(.permissionDenied) { try withUnsafeBytes(of: 1) { try buffer.write($0) } }
        var batch = rig.batch([prompt])
        batch.removeBindings()
        batch.bind(rig.output, to: buffer)
        refusal(.permissionDenied, "reading") { try rig.finish(queue: 0) { try rig.submit(batch, sync: $0) } }
        try rig.run(prompt)
    }

    // MARK: Batches

    @Test("a batch that reaches outside anything", arguments: BadBatch.all)
    func batches(bad: BadBatch) throws {
        let rig = try Rig()
        let wanted = try rig.run(prompt)
        var batch = rig.batch([prompt])
        bad.change(&batch)
        refusal(bad.code, bad.words) { try rig.submit(batch, sync: Sync()) }
        #expect(try rig.run(prompt) == wanted, "the device works on")
    }

    @Test("a batch longer than the program or in more sequences")
    func shapes() throws {
        let rig = try Rig(maxTokens: 8)
        refusal(.outOfRange, "up to 8") { try rig.submit(rig.batch([prompt]), sync: Sync()) }
        let pieces = (0..<5).map { Rig.Piece(tokens: [1], blocks: [UInt32($0)]) }
        refusal(.outOfRange, "in 4") { try rig.submit(rig.batch(pieces), sync: Sync()) }
    }

    @Test("a queue that is not there")
    func queues() throws {
        let rig = try Rig()
        refusal(.invalidArgument, "queue 2") { try rig.submit(rig.batch([prompt]), sync: Sync(queue: 2)) }
        refusal(.invalidArgument, "queue 7") { try rig.pool.copyBlocks(from: [0], to: [1], sync: Sync(queue: 7)) }
    }

    @Test("an output without a buffer, or with too small a one")
    func bindings() throws {
        let rig = try Rig()
        let small = try Buffer(allocating: 9 * TinyModel.vocabulary * 4 - 4, on: rig.device)
        var batch = rig.batch([prompt])
        batch.bind(rig.output, to: rig.logits)
        refusal(.invalidArgument, "bound twice") { try rig.submit(batch, sync: Sync()) }
        batch.removeBindings()
        refusal(.invalidArgument, "bound to no buffer") { try rig.submit(batch, sync: Sync()) }
        batch.bind(rig.output, to: small)
        refusal(.invalidArgument, "takes 1800 bytes") { try rig.submit(batch, sync: Sync()) }
        batch.removeBindings()
        batch.bind(0, to: rig.logits)
        refusal(.invalidArgument, "weight") { try rig.submit(batch, sync: Sync()) }
        batch.removeBindings()
        batch.bind(9_999, to: rig.logits)
        refusal(.invalidArgument, "9999") { try rig.submit(batch, sync: Sync()) }
    }

    @Test("a pool of other heads, or of fewer layers")
    func pools() throws {
        let rig = try Rig()
        for change in [{ $0.kvHeads = 1 }, { $0.headDim = 8 }, { $0.layers = 0..<1 }, { $0.layers = 1..<3 }] as [(inout KVPoolDescription) -> Void] {
            var description = Rig.pool(.f32)
            change(&description)
            let pool = try KVPool(creating: description, on: rig.device)
            let batch = rig.batch([prompt])
            refusal(.invalidArgument, "a pool of layers") { try rig.program.submit(batch, pool: pool, sync: Sync()) }
        }
    }

    // MARK: KV

    @Test("a pool of nothing, of too much or of a dtype it does not hold")
    func poolDescriptions() throws {
        let device = try Rig.open()
        let changes: [(inout KVPoolDescription) -> Void] = [
            { $0.blockCount = 0 }, { $0.blockTokens = 0 }, { $0.kvHeads = 0 }, { $0.headDim = 0 }, { $0.layers = 0..<0 }, { $0.dtype = .q8_0 },
            { $0.dtype = .i8 }, { $0.dtype = DType(rawValue: 99) }, { $0.blockCount = -1 },
            { ($0.blockCount, $0.blockTokens, $0.headDim) = (1 << 31, 1 << 31, 1 << 31) },
        ]
        for change in changes {
            var description = Rig.pool(.f16)
            change(&description)
            refusal(.invalidArgument) { _ = try KVPool(creating: description, on: device) }
        }
        var large = Rig.pool(.f16)
        large.blockCount = 1 << 31
        refusal(.resourceExhausted, "bytes") { _ = try KVPool(creating: large, on: device) }
    }

    @Test("a range, layout or memory that does not fit the pool")
    func ranges() throws {
        let rig = try Rig()
        let good = KVRange(layers: 0..<2, blocks: [0, 15], tokens: 16)
        let layouts = try rig.device.library.layouts(of: rig.pool.description, importing: false, options: rig.device.options)
        let layout = try #require(layouts.first)
        let region = try HostRegion(count: layout.bytesPerBlockLayer * 4)
        func both(_ code: DriverError.Code, _ range: KVRange, _ layout: KVLayout, _ count: Int) {
            let memory = MemoryName.host(region.base, count: count)
            refusal(code) { try rig.pool.export(range, as: layout, to: memory, sync: Sync(queue: 1)) }
            refusal(code) { try rig.pool.import(range, as: layout, from: memory, sync: Sync(queue: 1)) }
        }
        for (layers, blocks, tokens) in [(0..<3, [0, 1], 8), (2..<3, [0, 1], 8), (0..<0, [0, 1], 8), (0..<2, [], 0), (0..<2, [0, 16], 8), (0..<2, [0, 1], 17)] as [(Range<Int>, [UInt32], Int)] {
            both(.invalidArgument, KVRange(layers: layers, blocks: blocks, tokens: tokens), layout, region.count)
        }
        both(.outOfRange, good, layout, region.count - 1)
        both(.invalidArgument, good, layout, 0)
        let changes: [(inout KVLayout) -> Void] = [
            { $0.axes[0] = $0.axes[1] }, { $0.blockTokens = 16 }, { $0.kvHeads = 1 }, { $0.headDim = 32 }, { $0.layers = 3 }, { $0.dtype = DType(rawValue: 0) },
            { $0.scaleMode = 9 },
        ]
        for change in changes {
            var bad = layout
            change(&bad)
            both(.invalidArgument, good, bad, region.count)
        }
        for change in [{ $0.dtype = .q8_0 }, { $0.dtype = .i8 }, { $0.scaleMode = 1 }, { $0.ropeApplied = false }, { $0.ropeStyle = .splitHalf }] as [(inout KVLayout) -> Void] {
            var bad = layout
            change(&bad)
            both(.unimplemented, good, bad, region.count * 4)
        }
        refusal(.invalidArgument, "block 3 to 16") { try rig.pool.copyBlocks(from: [3], to: [16], sync: Sync()) }
        refusal(.invalidArgument) { try rig.pool.copyBlocks(from: [UInt32.max], to: [0], sync: Sync()) }
    }

    // MARK: Timelines

    @Test("a timeline that would fall, or a wait that runs out")
    func timelines() throws {
        let timeline = try Timeline(on: Rig.open(), value: 5)
        refusal(.invalidArgument, "only rises") { try timeline.signal(5) }
        refusal(.invalidArgument) { try timeline.signal(0) }
        refusal(.deadlineExceeded, "the timeline is at 5") { try timeline.wait(6, timeout: 1_000_000) }
        try timeline.signal(.max)
        try timeline.wait(.max, timeout: 0)
    }
}

/// One thing that is wrong with a batch of nine tokens in blocks 3 and 5.
struct BadBatch: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var code: DriverError.Code = .invalidArgument
    var words = ""
    var change: @Sendable (inout Batch) -> Void

    static let all = [
        BadBatch(testDescription: "a sequence that is not there", words: "sequence 1") { $0.sequences[4] = 1 },
        BadBatch(testDescription: "a sequence far outside", words: "sequence") { $0.sequences[0] = .max },
        BadBatch(testDescription: "tokens of a sequence apart", words: "contiguous") { ($0.sequences, $0.sequenceCount, $0.blockTables) = ([0, 0, 0, 1, 0, 0, 0, 0, 0], 2, $0.blockTables + [1, 1, 1, 1]) },
        BadBatch(testDescription: "a block outside the pool", words: "block 16") { $0.blockTables[1] = 16 },
        BadBatch(testDescription: "a block far outside", words: "block") { $0.blockTables[0] = .max },
        BadBatch(testDescription: "a position past the block table", words: "block table has 1") { $0.blockTableStride = 1 },
        BadBatch(testDescription: "no block table", words: "block table has 0") { ($0.blockTableStride, $0.blockTables) = (0, []) },
        BadBatch(testDescription: "a position past the context", code: .outOfRange, words: "128") { $0.positions = $0.positions.map { $0 + 120 } },
        BadBatch(testDescription: "a position at the end of the numbers", code: .outOfRange) { $0.positions = $0.positions.map { .max - 8 + $0 } },
        BadBatch(testDescription: "positions with a hole", words: "position") { $0.positions[8] = 10 },
        BadBatch(testDescription: "a position twice", words: "position") { $0.positions[8] = 7 },
        BadBatch(testDescription: "a row past the tokens", words: "row 9") { $0.rows = [0, 9] },
        BadBatch(testDescription: "a row far outside", words: "row") { $0.rows = [.max] },
        BadBatch(testDescription: "more rows than tokens", words: "10 rows") { $0.rows = [UInt32](repeating: 0, count: 10) },
        BadBatch(testDescription: "a token past the vocabulary", words: "token 50") { $0.tokens[3] = 50 },
        BadBatch(testDescription: "a token far outside", words: "token") { $0.tokens[8] = .max },
        BadBatch(testDescription: "no token ids", words: "tokens") { $0.tokens = [] },
        BadBatch(testDescription: "no tokens", words: "0 tokens") { ($0.tokens, $0.positions, $0.sequences, $0.rows) = ([], [], [], []) },
        BadBatch(testDescription: "no sequences", words: "0 sequences") { $0.sequenceCount = 0 },
    ]
}

extension baton_status {
    static var sized: baton_status {
        var status = baton_status()
        status.size = UInt32(MemoryLayout<baton_status>.size)
        return status
    }
}

import Driver
import TestKit
import Testing

/// The tiny model on an open cpu device, with a pool of 16 blocks of 8 tokens and a place for its logits.
final class Rig {
    static let blockTokens = 8
    static let blockCount = 16
    /// Blocks a sequence's table names.
    static let stride = 4
    static let patience: UInt64 = 20_000_000_000
    static let isBuilt = TestDrivers.has("cpu")

    /// Tokens of one sequence: where they start, and its blocks.
    struct Piece {
        var tokens: [UInt32]
        var position = 0
        var blocks: [UInt32]
    }

    let device: Device
    let builder: ProgramBuilder
    let pool: KVPool
    let logits: Buffer
    let output: Int
    let program: Program
    private let weights: WeightBuffers

    static func library() throws -> DriverLibrary { try TestDrivers.catalog().load("cpu") }

    static func open(_ options: DriverOptions = ["numerics": "f32"]) throws -> Device {
        try Device(opening: try library(), label: "cpu", options: options)
    }

    init(_ device: Device? = nil, kv: DType? = nil, matrices: DType = .f32, maxTokens: Int = 64) throws {
        let device = try device ?? Self.open()
        self.device = device
        builder = TinyModel.program(matrices: matrices, maxTokens: maxTokens)
        weights = try Self.weights(builder, device)
        program = try Program(compiling: builder, weights: weights, on: device)
        pool = try KVPool(creating: Self.pool(kv ?? device.info.kvDType), on: device)
        logits = try Buffer(allocating: maxTokens * TinyModel.vocabulary * 4, on: device)
        output = builder.tensors.firstIndex { $0.role == .output } ?? 0
    }

    static func weights(_ builder: ProgramBuilder, _ device: Device) throws -> WeightBuffers {
        let region = try HostRegion(count: max(TinyModel.weightBytes(builder), 1))
        TinyModel.fill(builder, region.bytes)
        let buffer = try Buffer(allocating: region.count, on: device)
        try buffer.write(UnsafeRawBufferPointer(region.bytes))
        let weights = WeightBuffers(on: device)
        _ = weights.append(buffer)
        return weights
    }

    static func pool(_ dtype: DType) -> KVPoolDescription {
        KVPoolDescription(
            dtype: dtype, blockCount: blockCount, blockTokens: blockTokens, layers: 0..<TinyModel.layers, kvHeads: TinyModel.kvHeads,
            headDim: TinyModel.headDim)
    }

    /// A batch of these pieces; `rows` nil wants every token's logits, at `logits` from byte `offset`.
    func batch(_ pieces: [Piece], rows: [UInt32]? = nil, offset: Int = 0) -> Batch {
        var batch = Batch()
        batch.sequenceCount = pieces.count
        batch.blockTableStride = Self.stride
        for (sequence, piece) in pieces.enumerated() {
            batch.tokens += piece.tokens
            batch.positions += piece.tokens.indices.map { UInt32(piece.position + $0) }
            batch.sequences += piece.tokens.map { _ in UInt32(sequence) }
            batch.blockTables += piece.blocks + [UInt32](repeating: 0, count: Self.stride - piece.blocks.count)
        }
        batch.rows = rows ?? batch.tokens.indices.map(UInt32.init)
        batch.bind(output, to: logits, at: offset)
        return batch
    }

    func submit(_ batch: borrowing Batch, sync: Sync) throws { try program.submit(batch, pool: pool, sync: sync) }

    /// Runs pieces in one batch and gives the logits of every token.
    @discardableResult
    func run(_ pieces: Piece...) throws -> [[Float]] {
        let done = try Timeline(on: device)
        var sync = Sync()
        sync.signal(done, 1)
        try submit(batch(pieces), sync: sync)
        try done.wait(1, timeout: Self.patience)
        return try read(pieces.reduce(0) { $0 + $1.tokens.count })
    }

    /// The first `rows` rows of logits.
    func read(_ rows: Int, at offset: Int = 0) throws -> [[Float]] {
        var values = [Float](repeating: .nan, count: rows * TinyModel.vocabulary)
        try values.withUnsafeMutableBytes { try logits.read(into: $0, at: offset) }
        return (0..<rows).map { Array(values[$0 * TinyModel.vocabulary..<($0 + 1) * TinyModel.vocabulary]) }
    }

    /// Runs `body` with a queue's sync and waits until what it queued has ended.
    func finish(queue: Int = 1, _ body: (Sync) throws -> Void) throws {
        let done = try Timeline(on: device)
        var sync = Sync(queue: queue)
        sync.signal(done, 1)
        try body(sync)
        try done.wait(1, timeout: Self.patience)
    }

    /// Bytes of a range in a layout; host memory begins as 0xAA.
    func export(_ range: KVRange, as layout: KVLayout) throws -> [UInt8] {
        let region = try HostRegion(count: layout.bytesPerBlockLayer * range.layers.count * range.blocks.count)
        region.bytes.initializeMemory(as: UInt8.self, repeating: 0xAA)
        try finish { try pool.export(range, as: layout, to: .host(region.base, count: region.count), sync: $0) }
        return Array(region.bytes)
    }

    func take(_ bytes: [UInt8], _ range: KVRange, as layout: KVLayout) throws {
        let region = try HostRegion(count: bytes.count)
        region.bytes.copyBytes(from: bytes)
        try finish { try pool.import(range, as: layout, from: .host(region.base, count: region.count), sync: $0) }
    }
}

/// The largest difference, as a part of the largest value wanted; infinite where counts differ or a value is not a number.
func difference(_ found: [[Float]], _ wanted: [[Float]]) -> Float {
    guard found.map(\.count) == wanted.map(\.count) else { return .infinity }
    let scale = wanted.joined().map(abs).max() ?? 0
    var worst: Float = 0
    for (a, b) in zip(found.joined(), wanted.joined()) {
        let gap = abs(a - b)
        guard gap.isFinite else { return .infinity }
        worst = max(worst, gap)
    }
    return scale > 0 ? worst / scale : worst
}

/// The driver's failure of `body`: its code, and that it is one line that says something.
func refusal(_ code: DriverError.Code, _ words: String = "", at location: SourceLocation = #_sourceLocation, _ body: () throws -> Void) {
    let error = #expect(throws: DriverError.self, sourceLocation: location) { try body() }
    guard let error else { return }
    #expect(error.code == code, "\(error)", sourceLocation: location)
    #expect(!error.detail.isEmpty && !error.detail.contains("\n"), "\(error)", sourceLocation: location)
    #expect(error.detail.contains(words), "\(error)", sourceLocation: location)
}

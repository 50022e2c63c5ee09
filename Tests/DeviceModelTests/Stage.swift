import Driver

/// The tiny model on one device, with a pool and a place for its logits.
final class Stage {
    let device: Device
    let builder: ProgramBuilder
    let pool: KVPool
    private let layout: KVLayout?
    private let program: Program
    private let weights: WeightBuffers
    private let logits: Buffer
    private let output: Int

    /// Weights are seeded; `kv` is what the pool holds, the device's own by default.
    init(_ device: Device, kv: DType? = nil) throws {
        self.device = device
        builder = Programs.llama(Programs.tiny, maxTokens: 64, maxContext: 64, placed: true)
        let bytes = builder.tensors.filter { $0.role == .weight }.reduce(0) { $0 + $1.shape.reduce(4) { $0 * Self.count($1) } }
        weights = WeightBuffers(on: device)
        let buffer = try Buffer(allocating: bytes, on: device)
        try Self.values(bytes / 4).withUnsafeBytes { try buffer.write($0) }
        _ = weights.append(buffer)
        program = try Program(compiling: builder, weights: weights, on: device)
        let description = KVPoolDescription(
            dtype: kv ?? device.info.kvDType, blockCount: 4, blockTokens: device.info.kvBlockTokens, layers: 0..<2, kvHeads: 1, headDim: 32)
        pool = try KVPool(creating: description, on: device)
        layout = try device.library.layouts(of: description, importing: false, options: device.options).first
        logits = try Buffer(allocating: Programs.tiny.vocab * 4, on: device)
        output = builder.tensors.firstIndex { $0.role == .output } ?? 0
    }

    private static func count(_ dimension: ProgramBuilder.Dimension) -> Int {
        if case .fixed(let count) = dimension { return count }
        return 0
    }

    /// Small numbers from a fixed seed.
    private static func values(_ count: Int) -> [Float] {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (Float(state >> 40) / Float(1 << 24) - 0.5) / 4
        }
    }

    private func batch(_ tokens: [UInt32], at position: Int) -> Batch {
        var batch = Batch()
        batch.tokens = tokens
        batch.positions = tokens.indices.map { UInt32(position + $0) }
        batch.sequences = tokens.map { _ in 0 }
        batch.blockTables = [2, 0, 1, 3]
        batch.blockTableStride = 4
        batch.rows = [UInt32(tokens.count - 1)]
        batch.bind(output, to: logits)
        return batch
    }

    /// Runs tokens and gives the last one's logits, as bits.
    func run(_ tokens: [UInt32], at position: Int = 0) throws -> [UInt32] {
        let done = try Timeline(on: device)
        return try run(tokens, at: position, done: done, value: 1)
    }

    func run(_ tokens: [UInt32], at position: Int = 0, done: borrowing Timeline, value: UInt64) throws -> [UInt32] {
        var sync = Sync()
        sync.signal(done, value)
        try program.submit(batch(tokens, at: position), pool: pool, sync: sync)
        return try finish(done, value)
    }

    func run(_ tokens: [UInt32], at position: Int = 0, done: borrowing Timeline, value: UInt64, layers: borrowing Timeline) throws -> [UInt32] {
        var sync = Sync()
        sync.signal(done, value)
        sync.signalLayers(layers, base: 0)
        try program.submit(batch(tokens, at: position), pool: pool, sync: sync)
        return try finish(done, value)
    }

    private func finish(_ done: borrowing Timeline, _ value: UInt64) throws -> [UInt32] {
        try done.wait(value, timeout: 20_000_000_000)
        var bits = [UInt32](repeating: 0, count: Programs.tiny.vocab)
        try bits.withUnsafeMutableBytes { try logits.read(into: $0) }
        return bits
    }

    /// Queues tokens behind `gate`.
    func queue(_ tokens: [UInt32], after gate: borrowing Timeline, _ done: borrowing Timeline, _ value: UInt64) throws {
        var sync = Sync()
        sync.wait(for: gate, 1)
        sync.signal(done, value)
        try program.submit(batch(tokens, at: 0), pool: pool, sync: sync)
    }

    private func range(_ layer: Int, _ tokens: Int) -> KVRange { KVRange(layers: layer..<layer + 1, blocks: [2], tokens: tokens) }

    /// The bytes of one layer of the first block, moved on the copy queue.
    func export(layer: Int, tokens: Int, _ done: borrowing Timeline, _ value: UInt64) throws -> [UInt8] {
        guard let layout else { return [] }
        var bytes = [UInt8](repeating: 0xAA, count: layout.bytesPerBlockLayer)
        var sync = Sync(queue: 1)
        sync.signal(done, value)
        let region = try HostRegion(count: bytes.count)
        try pool.export(range(layer, tokens), as: layout, to: .host(region.base, count: region.count), sync: sync)
        try done.wait(value, timeout: 20_000_000_000)
        bytes.withUnsafeMutableBytes { $0.copyMemory(from: UnsafeRawBufferPointer(start: region.base, count: region.count)) }
        return bytes
    }

    func take(_ bytes: [UInt8], layer: Int, tokens: Int, _ done: borrowing Timeline, _ value: UInt64) throws {
        guard let layout else { return }
        var sync = Sync(queue: 1)
        sync.signal(done, value)
        let region = try HostRegion(count: bytes.count)
        bytes.withUnsafeBytes { region.bytes.copyMemory(from: $0) }
        try pool.import(range(layer, tokens), as: layout, from: .host(region.base, count: region.count), sync: sync)
        try done.wait(value, timeout: 20_000_000_000)
    }
}

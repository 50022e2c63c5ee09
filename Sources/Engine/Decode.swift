import Driver

/// Runs single tokens through the decode stage, each after all that came before.
struct Decode: ~Copyable {
    let stage: OpenStage
    let trace: Trace?
    private(set) var steps = 0
    /// Modelled nanoseconds the devices spent.
    private(set) var modelled: UInt64 = 0
    private var batch = Batch()
    /// Of the KV that the batch's block table is of.
    private var generation: UInt64?

    init(stage: OpenStage, trace: Trace?) {
        self.stage = stage
        self.trace = trace
        batch.tokens = [0]
        batch.positions = [0]
        batch.sequences = [0]
        batch.rows = [0]
        batch.sequenceCount = 1
    }

    /// Computes the token after `token`, which stands at position `kv.tokens`; its logits are left to be read.
    mutating func step(_ token: Int32, _ kv: inout KVState) throws(EngineError) {
        if generation != kv.generation {
            generation = kv.generation
            batch.blockTables = kv.blocks
            batch.blockTableStride = kv.blocks.count
        }
        batch.tokens[0] = UInt32(bitPattern: token)
        batch.positions[0] = UInt32(kv.tokens)
        let began = WallClock.now
        let run = try stage.run(&batch)
        kv.tokens += 1
        steps += 1
        trace?.span("decode", .stage, from: began, to: WallClock.now, arguments: [("position", "\(kv.tokens - 1)")])
        for (part, event) in zip(stage.parts, run.events) where event.clock == .modelled {
            modelled += event.nanoseconds
            trace?.modelled("decode", device: part.device.label, from: event.start, to: event.end)
        }
    }
}

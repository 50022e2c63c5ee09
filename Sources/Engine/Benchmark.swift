public import Driver

/// Measures the stages of a placement, each on its own devices: prefill of `prompts` tokens at each depth on the prefill stage, decode of
/// `completions` tokens at each depth and batch on the decode stage. Tokens are spread over the vocabulary; every batch ends with its logits where the host
/// can read them, as it is when requests are served.
/// One thread uses it.
public final class Benchmark {
    public struct Plan: Sendable {
        /// Tokens of a prompt, tokens to decode; tokens whose KV is there before; sequences of a decode batch.
        public var prompts: [Int]
        public var completions: [Int]
        public var depths: [Int]
        public var batches: [Int]
        /// Measured runs of each row, after one that is not.
        public var repetitions: Int

        public init(prompts: [Int], completions: [Int], depths: [Int], batches: [Int], repetitions: Int) {
            self.prompts = prompts
            self.completions = completions
            self.depths = depths
            self.batches = batches
            self.repetitions = repetitions
        }

        /// Tokens of the longest sequence, and sequences at most.
        public var context: Int { (depths.max() ?? 0) + max(prompts.max() ?? 0, completions.max() ?? 0) }
        public var sequences: Int { completions.isEmpty ? 1 : max(1, batches.max() ?? 1) }
    }

    /// One row on one clock. A device with a modelled clock has two rows of each kind; they are never mixed.
    public struct Row: Sendable {
        public var kind: String
        /// Of each sequence.
        public var tokens: Int
        public var depth: Int
        public var batch: Int
        public var device: String
        public var clock: Clock
        /// Tokens per second of all sequences together, one for each repetition.
        public var rates: [Double]
    }

    /// What to open one after another so that every replica of a stage is measured once, and the rows of each.
    public static func turns(of placements: [Placement], _ plan: Plan) -> [(placement: Placement, plan: Plan)] {
        var (prefills, decodes): (Set<PlacedStage.Key>, Set<PlacedStage.Key>) = ([], [])
        return placements.compactMap { placement in
            var rest = plan
            if !prefills.insert(placement.prefill.key).inserted { rest.prompts = [] }
            if !decodes.insert(placement.decode.key).inserted { rest.completions = [] }
            return rest.prompts.isEmpty && rest.completions.isEmpty ? nil : (placement, rest)
        }
    }

    private let prefill: OpenStage
    private let decode: OpenStage
    private var drawn: UInt64 = 0
    private var logits: [Float] = []

    /// Opens the devices of `placement`, made for the plan's context and sequences.
    public init(opening placement: Placement, progress: (@Sendable (String, Double) -> Void)? = nil) throws(EngineError) {
        if let problem = placement.problems.first { throw problem }
        var opener = StageOpener(model: placement.model, progress: progress)
        decode = try opener.open(placement.decode)
        prefill = placement.isAggregated ? decode : try opener.open(placement.prefill)
    }

    /// Runs the plan; `each` hears rows as they are done.
    public func run(_ plan: Plan, each: ([Row]) -> Void = { _ in }) throws(EngineError) -> [Row] {
        var rows: [Row] = []
        for depth in plan.depths {
            for tokens in plan.prompts { try measure("prefill", prefill, tokens, depth, 1, plan.repetitions, &rows, each) }
        }
        for depth in plan.depths {
            for batch in plan.batches {
                for tokens in plan.completions { try measure("decode", decode, tokens, depth, batch, plan.repetitions, &rows, each) }
            }
        }
        return rows
    }

    private func measure(
        _ kind: String, _ stage: OpenStage, _ tokens: Int, _ depth: Int, _ batch: Int, _ repetitions: Int, _ rows: inout [Row],
        _ each: ([Row]) -> Void
    ) throws(EngineError) {
        var states = Sequences(batch)
        for index in 0..<batch { states.tables[index] = try reserve(depth + tokens, stage) }
        defer { for held in states.tables { stage.allocator.release(held.blocks, generation: held.generation) } }
        for index in 0..<batch where depth > 0 { _ = try chunks(stage, states.tables[index].blocks, from: 0, count: depth) }
        var wall: [Double] = []
        var modelled: [Double] = []
        for repetition in 0...repetitions {
            let began = WallClock.now
            let other = kind == "prefill"
                ? try chunks(stage, states.tables[0].blocks, from: depth, count: tokens) : try steps(stage, states, from: depth, count: tokens)
            let count = Double(tokens * batch) * 1e9
            guard repetition > 0 else { continue }
            wall.append(count / Double(max(1, WallClock.now - began)))
            if other > 0 { modelled.append(count / Double(other)) }
        }
        let device = stage.parts.map(\.device.label).joined(separator: "+")
        var made = [Row(kind: kind, tokens: tokens, depth: depth, batch: batch, device: device, clock: .wall, rates: wall)]
        if modelled.count == wall.count {
            made.append(Row(kind: kind, tokens: tokens, depth: depth, batch: batch, device: device, clock: .modelled, rates: modelled))
        }
        rows += made
        each(made)
    }

    /// The blocks of each sequence of a batch.
    private struct Sequences {
        var tables: [(blocks: [UInt32], generation: UInt64)]
        init(_ count: Int) { tables = Array(repeating: ([], 0), count: count) }
    }

    private func reserve(_ tokens: Int, _ stage: OpenStage) throws(EngineError) -> (blocks: [UInt32], generation: UInt64) {
        do throws(HandoffAbort) { return try stage.allocator.reserve(tokens: tokens) } catch { throw EngineError(.usage, "stage \(stage.name): \(error)") }
    }

    /// The next of a fixed sequence of tokens spread over the vocabulary (Weyl's, by the golden ratio).
    private func token(_ stage: OpenStage) -> UInt32 {
        drawn &+= 0x9E37_79B9_7F4A_7C15
        return UInt32((drawn >> 32) * UInt64(stage.vocabulary) >> 32)
    }

    /// Prefills `count` tokens after `start`, chunk by chunk, and reads the last one's logits. Gives the modelled nanoseconds.
    private func chunks(_ stage: OpenStage, _ blocks: [UInt32], from start: Int, count: Int) throws(EngineError) -> UInt64 {
        var modelled: UInt64 = 0
        var at = start
        while at < start + count {
            let size = min(stage.chunk, start + count - at)
            var batch = Batch()
            batch.tokens = (0..<size).map { _ in token(stage) }
            batch.positions = (at..<at + size).map(UInt32.init)
            batch.sequences = [UInt32](repeating: 0, count: size)
            batch.blockTables = blocks
            batch.blockTableStride = blocks.count
            at += size
            batch.rows = at == start + count ? [UInt32(size - 1)] : []
            modelled += Self.modelled(try stage.run(&batch))
        }
        try stage.withLogits(rows: 1, &logits) { _ in }
        return modelled
    }

    /// Decodes `count` tokens of every sequence. Gives the modelled nanoseconds.
    private func steps(_ stage: OpenStage, _ states: Sequences, from start: Int, count: Int) throws(EngineError) -> UInt64 {
        let sequences = states.tables.count
        var batch = Batch()
        batch.sequenceCount = sequences
        batch.sequences = (0..<UInt32(sequences)).map { $0 }
        batch.rows = batch.sequences
        batch.blockTableStride = states.tables[0].blocks.count
        batch.blockTables = states.tables.flatMap(\.blocks)
        var modelled: UInt64 = 0
        for position in start..<start + count {
            batch.tokens = batch.sequences.map { _ in token(stage) }
            batch.positions = [UInt32](repeating: UInt32(position), count: sequences)
            modelled += Self.modelled(try stage.run(&batch))
            try stage.withLogits(rows: sequences, &logits) { _ in }
        }
        return modelled
    }

    private static func modelled(_ run: OpenStage.Run) -> UInt64 {
        run.events.reduce(0) { $1.clock == .modelled ? $0 + $1.nanoseconds : $0 }
    }
}

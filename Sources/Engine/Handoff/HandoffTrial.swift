public import Driver

/// One prompt prefilled on a device and decoded there or on another, over the same path as a request: what a handoff is held to.
public struct HandoffTrial {
    /// What came out.
    public struct Outcome {
        /// The logits after the prompt's last token and after each token decoded; those of prefill first.
        public var logits: [[Float]] = []
        /// The KV of the prompt as f32: [layer][plane][head][token][dim].
        public var kv: [Float] = []
        /// The dtypes it was cast to on its way, in order, and what was done to the bytes.
        public var casts: [DType] = []
        public var conversion = ""
    }

    public var prompt: [Int32]
    /// What decode is fed, whatever it would have chosen, so that every run is asked the same.
    public var forced: [Int32]
    /// Layer by layer while prefill goes on, or after it.
    public var overlapsLayers: Bool
    /// Tokens of one prefill batch at most; nil for as many as the device takes.
    public var chunk: Int?

    public init(prompt: [Int32], forced: [Int32], overlapsLayers: Bool = true, chunk: Int? = nil) {
        self.prompt = prompt
        self.forced = forced
        self.overlapsLayers = overlapsLayers
        self.chunk = chunk
    }

    /// Prefill and decode in one place.
    public func alone(_ site: HandoffSite) throws(EngineError) -> Outcome {
        var kv = try reserve(prompt.count + forced.count, site.here)
        var outcome = Outcome()
        let stage = HandoffSite.limited(site.here, to: chunk)
        _ = try Prefill(stage: stage, trace: nil).run(prompt, into: &kv, tokenStep: 1)
        try stage.append(&outcome.logits)
        outcome.kv = try contents(site, site.here, kv.blocks)
        try decode(site.here, &kv, &outcome)
        return outcome
    }

    /// The ways from `a` to `b` that differ in kind: for each set of conversions that a pair of their layouts needs, the first such pair.
    public static func ways(_ a: HandoffSite, _ b: HandoffSite) throws(EngineError) -> [HandoffPlan] {
        var plans: [HandoffPlan] = []
        for from in try a.placed.parts[0].layouts(importing: false) {
            for to in try b.placed.parts[0].layouts(importing: true) {
                guard let plan = try? HandoffPlan(exports: [from], imports: [to]), !plans.contains(where: { $0.conversion == plan.conversion }) else { continue }
                plans.append(plan)
            }
        }
        return plans
    }

    /// Prefill at `a`, handoff as `plan` says (nil: as placement would choose) into a pool of `b` that shares nothing with a's, decode at `b`.
    public func across(_ a: HandoffSite, _ b: HandoffSite, _ plan: HandoffPlan? = nil) throws(EngineError) -> Outcome {
        let (from, to) = (a.placed.parts[0], b.placed.parts[0])
        var chosen = try HandoffPlan(exports: try from.layouts(importing: false), imports: try to.layouts(importing: true))
        if let plan { chosen = plan }
        let link = HandoffLink(prefillPart: 0, decodePart: 0, layers: from.layers, plan: chosen)
        let target = try b.fresh()
        var there = try reserve(prompt.count + forced.count, target)
        var here = try reserve(prompt.count, a.here)
        let stage = HandoffSite.limited(a.here, to: chunk, step: chosen.tokenStep)
        let handoff = try Handoff(
            links: [link], from: stage, to: target, prefillBlocks: here.blocks, prefillGeneration: here.generation, decodeBlocks: there.blocks,
            generation: there.generation, tokens: there.capacity, settings: HandoffSettings(overlapsLayers: overlapsLayers, deadline: 60_000_000_000), trace: nil, tamper: nil)
        defer { handoff.close() }
        var late: [(part: Int, base: UInt64, range: Range<Int>)] = []
        _ = try Prefill(stage: stage, trace: nil).run(
            prompt, into: &here, tokenStep: chosen.tokenStep,
            chunkReady: { (part: Int, base: UInt64, range: Range<Int>) throws(EngineError) in
                if overlapsLayers { try handoff.drain(part: part, base: base, tokens: range) } else { late.append((part, base, range)) }
            })
        var outcome = Outcome(casts: [chosen.from.dtype, chosen.to.dtype, b.kept], conversion: "\(chosen)")
        try stage.append(&outcome.logits)
        for piece in late { try handoff.drain(part: piece.part, base: piece.base, tokens: piece.range) }
        try handoff.finish(wallEnd: nil, modelledEnd: nil)
        guard handoff.state == .adopted else { throw EngineError(.handoff, "the handoff from \(a.name) to \(b.name) ended in \(handoff.state)") }
        there.tokens = prompt.count
        outcome.kv = try contents(b, target, there.blocks)
        try decode(target, &there, &outcome)
        return outcome
    }

    /// Prefill at `a`, decode at `b` over a's own pool; nil where `b` adopts none like it.
    public func adopted(_ a: HandoffSite, _ b: HandoffSite) throws(EngineError) -> Outcome? {
        let source = try a.fresh()
        guard let shared = try b.adopting(source, of: a) else { return nil }
        var kv = try reserve(prompt.count + forced.count, source)
        let stage = HandoffSite.limited(source, to: chunk)
        _ = try Prefill(stage: stage, trace: nil).run(prompt, into: &kv, tokenStep: 1)
        var outcome = Outcome(casts: [], conversion: "adopt")
        try stage.append(&outcome.logits)
        outcome.kv = try contents(b, shared, kv.blocks)
        try decode(shared, &kv, &outcome)
        return outcome
    }

    private func reserve(_ tokens: Int, _ stage: OpenStage) throws(EngineError) -> KVState {
        do throws(HandoffAbort) { return try KVState(reserving: tokens, from: stage.allocator) } catch {
            throw EngineError(.usage, "stage \(stage.name): \(error)")
        }
    }

    private func decode(_ stage: OpenStage, _ kv: inout KVState, _ outcome: inout Outcome) throws(EngineError) {
        var steps = Decode(stage: stage, trace: nil)
        for token in forced {
            try steps.step(token, &kv)
            try stage.append(&outcome.logits)
        }
    }

    /// What a stage's pool holds of the prompt.
    private func contents(_ site: HandoffSite, _ stage: OpenStage, _ blocks: [UInt32]) throws(EngineError) -> [Float] {
        let from = try site.placed.parts[0].layouts(importing: false)[0]
        let part = stage.parts[0]
        var plain = from
        plain.dtype = .f32
        plain.axes = [.layer, .plane, .head, .block, .token, .dim]
        plain.blockTokens = prompt.count
        let used = Array(blocks.prefix(from.blocks(for: prompt.count)))
        var floats = [Float](repeating: 0, count: part.layers.count * plain.bytesPerBlockLayer / 4)
        do throws(DriverError) {
            let wire = try HostRegion(count: used.count * part.layers.count * from.bytesPerBlockLayer)
            let exported = try Timeline(on: part.device)
            var sync = Sync(queue: part.copyQueue)
            sync.signal(exported, 1)
            try part.pool.export(KVRange(layers: part.layers, blocks: used, tokens: prompt.count), as: from, to: .host(wire.base, count: wire.count), sync: sync)
            try exported.wait(1)
            floats.withUnsafeMutableBytes { bytes in
                KVConversion(from: from, to: plain).run(UnsafeRawBufferPointer(wire.bytes), to: bytes, layers: part.layers.count, tokens: prompt.count)
            }
        } catch { throw EngineError(error) }
        return floats
    }
}

extension OpenStage {
    /// Reads the one row of logits of the last run.
    fileprivate func append(_ rows: inout [[Float]]) throws(EngineError) {
        var row: [Float] = []
        try readLogits(rows: 1, into: &row)
        rows.append(row)
    }
}

import Driver

/// Runs a prompt through the prefill stage in chunks.
struct Prefill {
    let stage: OpenStage
    let trace: Trace?

    struct Result {
        /// Modelled nanoseconds the devices spent, and where the last run ended on the first device's clock.
        var modelled: UInt64 = 0
        var modelledEnd: UInt64?
        /// Where the last run ended on the host's clock; nil on modelled clocks.
        var wallEnd: UInt64?
    }

    /// Fills `kv` with the prompt and leaves the logits of its last token to be read.
    /// - Parameters:
    ///   - tokenStep: chunks end at multiples of it, so that each is whole blocks for a handoff.
    ///   - chunkReady: hears that tokens `range` are being computed by part `part`, whose layer events begin at `base`.
    func run(
        _ prompt: [Int32], into kv: inout KVState, tokenStep: Int,
        chunkReady: (_ part: Int, _ base: UInt64, _ range: Range<Int>) throws(EngineError) -> Void = { _, _, _ in },
        progress: ((Int) -> Void)? = nil
    ) throws(EngineError) -> Result {
        var result = Result()
        let chunk = max(tokenStep, stage.chunk / tokenStep * tokenStep)
        var start = 0
        while start < prompt.count {
            let range = start..<min(start + min(chunk, stage.chunk), prompt.count)
            var batch = Self.batch(prompt, range, blocks: kv.blocks, wantsLogits: range.upperBound == prompt.count)
            let began = WallClock.now
            let run = try stage.run(&batch) { (part: Int, base: UInt64) throws(EngineError) in try chunkReady(part, base, range) }
            trace?.span("prefill \(range)", .stage, from: began, to: WallClock.now, arguments: [("tokens", "\(range.count)")])
            record(run, &result, "prefill \(range)")
            start = range.upperBound
            kv.tokens = start
            progress?(start)
        }
        return result
    }

    private func record(_ run: OpenStage.Run, _ result: inout Result, _ name: String) {
        result.wallEnd = run.wallEnd
        for (part, event) in zip(stage.parts, run.events) where event.clock == .modelled {
            result.modelled += event.nanoseconds
            result.modelledEnd = event.end
            trace?.modelled(name, device: part.device.label, from: event.start, to: event.end)
        }
    }

    private static func batch(_ prompt: [Int32], _ range: Range<Int>, blocks: [UInt32], wantsLogits: Bool) -> Batch {
        var batch = Batch()
        batch.tokens = prompt[range].map { UInt32(bitPattern: $0) }
        batch.positions = range.map(UInt32.init)
        batch.sequences = [UInt32](repeating: 0, count: range.count)
        batch.blockTables = blocks
        batch.blockTableStride = blocks.count
        batch.sequenceCount = 1
        batch.rows = wantsLogits ? [UInt32(range.count - 1)] : []
        return batch
    }
}

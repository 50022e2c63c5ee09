import CDriver

extension Checks {
    /// D66
    static func costsAreEstimated(_ subject: Subject) throws -> Note {
        guard let cost = subject.cost else { return "the driver has no \(BATON_COST_INTERFACE)" }
        let estimate = try slot(cost.estimate, "cost.estimate")
        let info = try subject.describe()
        var stage = Stages.model()
        stage.maxTokens = min(64, Int(info.max_batch_tokens))
        func ask(_ tokens: Int) throws -> baton_cost {
            var work = baton_work.sized()
            work.kind = baton_work_kind(BATON_WORK_RUN)
            work.token_count = UInt32(tokens)
            work.sequence_count = 1
            work.context_tokens = UInt64(tokens * (tokens + 1) / 2)
            work.row_count = 1
            var out = baton_cost.sized()
            try call("estimate of \(tokens) tokens") { status in
                subject.withOptions { options in stage.lend(weights: nil) { estimate(options, $0, &work, &out, status) } }
            }
            return out
        }
        let (one, many) = (try ask(1), try ask(stage.maxTokens))
        try require(one.time_ns > 0 && many.time_ns > 0, "work is estimated to take no time")
        try require(many.time_ns >= one.time_ns, "\(stage.maxTokens) tokens are estimated at \(many.time_ns) ns and one at \(one.time_ns)")
        try require(many.flops > one.flops && one.flops > 0, "\(stage.maxTokens) tokens take \(many.flops) operations and one takes \(one.flops)")
        try require(one.clock == info.clock, "costs are on clock \(one.clock) and the device's is \(info.clock)")
        try require(one.padded >= 1 && many.padded >= UInt64(stage.maxTokens), "\(stage.maxTokens) tokens are computed as \(many.padded)")
        return Note("1 token \(one.time_ns / 1_000) us, \(stage.maxTokens) tokens \(many.time_ns / 1_000) us, \(one.clock == 2 ? "modelled" : "wall")")
    }

    /// D67
    static func memoryIsForetold(_ subject: Subject) throws -> Note {
        guard let cost = subject.cost else { return "the driver has no \(BATON_COST_INTERFACE)" }
        let memory = try slot(cost.memory, "cost.memory")
        let info = try subject.describe()
        func ask(_ tokens: UInt64) throws -> baton_memory_need {
            var out = baton_memory_need.sized()
            let kv = info.kv_dtype == 0 ? 1 : info.kv_dtype
            try call("memory of \(tokens) tokens") { status in
                subject.withOptions { options in Stages.model().lend(weights: nil) { memory(options, $0, tokens, kv, &out, status) } }
            }
            return out
        }
        let (few, many) = (try ask(64), try ask(1 << 40))
        try require(few.available_bytes == info.memory_bytes, "\(few.available_bytes) bytes are there by cost and \(info.memory_bytes) by describe")
        try require(few.fits == 1, "a model of some kilobytes does not fit \(few.available_bytes) bytes")
        try require(few.kv_bytes > 0 && few.weight_bytes > 0, "64 tokens take \(few.kv_bytes) bytes of KV and the weights \(few.weight_bytes)")
        try require(many.fits == 0, "the KV of 2^40 tokens fits \(many.available_bytes) bytes")
        return Note("weights \(few.weight_bytes), workspace \(few.workspace_bytes), KV of 64 tokens \(few.kv_bytes) bytes")
    }
}

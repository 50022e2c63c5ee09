import Tokens

/// The tokens of one completion as they come: sampled, streamed as text, stopped.
struct Completion {
    private var sampler: Sampler
    private var stream = TokenStream()
    private var rule: StopRule
    private let tokenizer: Tokenizer
    private let filters: ForeignHooks
    /// Tokens that are never chosen.
    private let avoided: Set<Int32>
    private var history: [Int32]
    private(set) var tokens: [Int32] = []
    private(set) var text = ""
    private let limit: Int

    init(_ request: Request, maxTokens: Int, tokenizer: Tokenizer, filters: ForeignHooks) {
        sampler = Sampler(request.sampling)
        rule = StopRule(strings: request.stops, ends: request.obeysEnd ? tokenizer.ends : [], maxTokens: maxTokens)
        self.tokenizer = tokenizer
        self.filters = filters
        avoided = request.avoidsEnd ? tokenizer.ends : []
        history = request.prompt
        limit = maxTokens
    }

    var last: Int32 { tokens.last ?? 0 }

    /// Samples from one row of logits, which filters and penalties change in place; gives why the completion ended, if it did.
    mutating func next(_ logits: UnsafeMutableBufferPointer<Float>, _ emit: (String) -> Void) throws(EngineError) -> FinishReason? {
        guard limit > 0 else { return .length }
        try filters.filter(logits, history: history)
        for id in avoided where logits.indices.contains(Int(id)) { logits[Int(id)] = -.infinity }
        let token = try sample(logits)
        tokens.append(token)
        history.append(token)
        let piece = tokenizer.isSpecial(token) ? "" : stream.append(tokenizer.bytes(of: token))
        let taken = rule.take(token: token, text: piece)
        say(taken.emit, emit)
        if let finish = taken.finish {
            if finish == .length { say(rule.finish(stream.finish()), emit) }
            try filters.guardOutput(text)
            return finish
        }
        return nil
    }

    /// The same, of an array that is one row.
    mutating func next(_ logits: inout [Float], _ emit: (String) -> Void) throws(EngineError) -> FinishReason? {
        try logits.withUnsafeMutableBufferPointer { (row: inout UnsafeMutableBufferPointer<Float>) throws(EngineError) in try next(row, emit) }
    }

    private mutating func sample(_ logits: UnsafeMutableBufferPointer<Float>) throws(EngineError) -> Int32 {
        do throws(TokensError) { return try sampler.next(logits, history: history) } catch {
            throw EngineError(.driver, "sampling: \(error)")
        }
    }

    private mutating func say(_ piece: String, _ emit: (String) -> Void) {
        guard !piece.isEmpty else { return }
        text += piece
        emit(piece)
    }
}
